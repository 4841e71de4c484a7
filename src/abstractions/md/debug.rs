// SPDX-License-Identifier: GPL-2.0-or-later

//! Files of an array in debugfs: `md_multipath/mdX/`, below a directory with the module's name.
//!
//! C header: `include/linux/debugfs.h`, C source: `fs/debugfs/file.c` (Linux 7.3). The kernel
//! crate's `debugfs` is not used: its files have no owner, so that the module may be unloaded while
//! one is open, and closing it then reads what was freed. These hold their module while they are
//! open.
//!
//! The directory of an array is made when the array has started and removed before it is freed,
//! which waits for whoever is inside [`DebugFile::show`]. Without debugfs there are no files, and
//! nothing fails.

use super::{array::Array, personality::Personality};
use crate::{
    abstractions::release::{this_module, ModuleMetadata},
    bindings,
};
use core::{ffi::c_void, marker::PhantomData, mem::MaybeUninit, ptr};
use kernel::{ffi::c_int, prelude::*, seq_file::SeqFile, str::CStr};

/// A file about an array of personality `P`, for root to read.
pub(crate) trait DebugFile<P: Personality> {
    /// The file's name.
    const NAME: &'static CStr;

    /// Writes the content. Process context. If it does not fit, this is called again.
    fn show(array: &Array<P>, seq: &SeqFile);
}

/// A [`DebugFile`] as the C side sees it.
pub(crate) struct DebugEntry<P: Personality> {
    name: &'static CStr,
    operations: bindings::file_operations,
    _personality: PhantomData<P>,
}

// SAFETY: An entry is constant.
unsafe impl<P: Personality> Sync for DebugEntry<P> {}

impl<P: Personality> DebugEntry<P> {
    /// The entry of a file.
    pub(crate) const fn of<F: DebugFile<P>>() -> Self {
        // SAFETY: Zeroes are valid `file_operations`: no owner, no functions.
        let mut operations: bindings::file_operations =
            unsafe { MaybeUninit::zeroed().assume_init() };
        operations.owner = this_module::<P::Module>().as_ptr();
        operations.open = Some(Self::open::<F>);
        operations.read = Some(bindings::seq_read);
        operations.llseek = Some(bindings::seq_lseek);
        operations.release = Some(bindings::single_release);
        Self {
            name: F::NAME,
            operations,
            _personality: PhantomData,
        }
    }

    /// # Safety
    ///
    /// - `inode` is that of a file that [`Directory::new`] made, and `file` is being opened.
    unsafe extern "C" fn open<F: DebugFile<P>>(
        inode: *mut bindings::inode,
        file: *mut bindings::file,
    ) -> c_int {
        // SAFETY: By the safety requirement.
        let array = unsafe { (*inode).i_private };
        // SAFETY: By the safety requirement; `show` is called with `array` as the private data.
        unsafe { bindings::single_open(file, Some(Self::show::<F>), array) }
    }

    /// # Safety
    ///
    /// - `seq` is valid and was opened by [`open`](Self::open); its file is not removed meanwhile.
    unsafe extern "C" fn show<F: DebugFile<P>>(
        seq: *mut bindings::seq_file,
        _: *mut c_void,
    ) -> c_int {
        // SAFETY: By the safety requirement.
        let array: *const Array<P> = unsafe { (*seq).private }.cast();
        // SAFETY: By the safety requirement; the array is there as long as the file.
        let array = unsafe { &*array };
        // SAFETY: By the safety requirement.
        F::show(array, unsafe { SeqFile::from_raw(seq) });
        0
    }
}

/// The directory with the module's name. Dropping it removes it.
///
/// # Invariants
///
/// 1. `dentry` is what `debugfs_create_dir` gave: a directory that this value owns, or an error.
pub(super) struct Root {
    dentry: *mut bindings::dentry,
}

// SAFETY: debugfs may be used from any CPU.
unsafe impl Send for Root {}

// SAFETY: As above; `&Root` does nothing.
unsafe impl Sync for Root {}

impl Root {
    /// Makes the directory of module `M`. Sleeps.
    pub(super) fn new<M: ModuleMetadata>() -> Self {
        // INVARIANT: 1, directly.
        Self {
            // SAFETY: The name is a C string; without a parent it is made at the top.
            dentry: unsafe { bindings::debugfs_create_dir(M::NAME.as_char_ptr(), ptr::null_mut()) },
        }
    }
}

impl Drop for Root {
    fn drop(&mut self) {
        // SAFETY: By invariant 1. An error is passed over.
        unsafe { bindings::debugfs_remove(self.dentry) };
    }
}

/// The directory of an array, with its files. Dropping it removes them, and waits for those who
/// read them.
///
/// # Invariants
///
/// 1. `dentry` is what `debugfs_create_dir` gave: a directory that this value owns, or an error.
/// 2. The array that its files are about outlives this value.
pub(super) struct Directory {
    dentry: *mut bindings::dentry,
}

// SAFETY: debugfs may be used from any CPU.
unsafe impl Send for Directory {}

impl Directory {
    /// Makes the directory and the files of an array. Sleeps. None if there is no place for it.
    ///
    /// # Safety
    ///
    /// - The value is dropped before the array is.
    pub(super) unsafe fn new<P: Personality>(array: &Array<P>) -> Option<Self> {
        let root = <P::Module as ModuleMetadata>::NAME.as_char_ptr();
        // SAFETY: The name is a C string; without a parent it is looked for at the top.
        let root = unsafe { bindings::debugfs_lookup(root, ptr::null_mut()) };
        if root.is_null() {
            return None;
        }
        // SAFETY: The name is a C string, and the parent is held.
        let dentry = unsafe { bindings::debugfs_create_dir(array.name().as_char_ptr(), root) };
        // INVARIANT: 1, directly; 2, by the safety requirement.
        let this = Self { dentry };
        // SAFETY: `debugfs_lookup` has given a reference; the new directory keeps its parent.
        unsafe { bindings::dput(root) };
        for entry in P::DEBUG_FILES {
            let data = ptr::from_ref(array).cast_mut().cast();
            // SAFETY: The directory is there, or an error, which is passed over. The entry is
            // constant, and `data` is what its functions expect; by 2 it outlives the file.
            unsafe {
                bindings::debugfs_create_file(
                    entry.name.as_char_ptr(),
                    0o400,
                    this.dentry,
                    data,
                    &entry.operations,
                )
            };
        }
        Some(this)
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        // SAFETY: By invariant 1. The files go with the directory; an error is passed over.
        unsafe { bindings::debugfs_remove(self.dentry) };
    }
}
