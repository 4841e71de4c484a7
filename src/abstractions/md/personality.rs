// SPDX-License-Identifier: GPL-2.0-or-later

//! The personality: what md core calls, and its registration.
//!
//! C header: `drivers/md/md.h`, C source: `drivers/md/md.c` (Linux 7.3).
//!
//! | callback | called from | may sleep | held |
//! |---|---|---|---|
//! | `run`, `free` | ioctl, sysfs | yes | `reconfig_mutex` |
//! | `make_request` | submitter of a bio | yes, but for `REQ_NOWAIT` | `active_io` |
//! | `status` | reader of `/proc/mdstat` | no | `mddev->lock` |
//! | `error_handler` | anyone, interrupts too | no | perhaps `rcu_read_lock` |
//! | `hot_add_disk`, `hot_remove_disk` | worker, ioctl, sysfs | yes, without I/O | `reconfig_mutex`, I/O mostly suspended |
//! | `resize`, `check_reshape` | ioctl, sysfs, worker | yes | `reconfig_mutex` |
//! | `size` | ioctl, sysfs | yes | `reconfig_mutex` |
//! | `quiesce` | ioctl, sysfs | yes | mostly `reconfig_mutex` |
//! | [`Personality::thread`], [`Personality::tell`] | a thread of its own each | yes | nothing |
//! | md core's thread | itself | yes | nothing |
//!
//! `make_request` returns before the I/O is done and keeps no `active_io` for it: what waits for
//! `active_io` to drain, such as adding and removing members, never waits for a device.

use super::{
    array::Array,
    attribute::{self, Entry, MemberEntry},
    debug::{DebugEntry, Root},
    io::{Path, Remap},
    mddev::{Mddev, Reconfig},
    noio::NoIo,
    rdev::{Members, Rdev},
    thread,
};
use crate::{
    abstractions::{
        bio::{Bio, Status},
        percpu_ref::{Counted, Ref},
        rcu::Section,
        release::{this_module, ModuleMetadata},
    },
    bindings,
};
use core::{ffi::c_void, marker::PhantomData, mem::MaybeUninit, ptr::NonNull};
use kernel::{
    error::{from_result, to_result},
    ffi::c_int,
    prelude::*,
    seq_file::SeqFile,
    str::{as_char_ptr_in_const_context, CStr},
    sync::Arc,
    time::Delta,
};

/// An md personality. The implementing type is the driver's data of one array.
///
/// Contexts are those of the table in the [module documentation](self).
pub(crate) trait Personality: Send + Sync + Sized + 'static {
    /// The name that `/proc/mdstat` shows.
    const NAME: &'static CStr;
    /// The level, as in `md-level-N`.
    const LEVEL: i32;

    /// The module that the personality is in.
    type Module: ModuleMetadata;
    /// A path to the disk.
    type Path: Path;
    /// What the driver keeps of an I/O.
    type PerIo: Send;

    /// The settings of an array.
    const SETTINGS: &'static [Entry<Self>];
    /// The settings of a member in a slot.
    const MEMBER_SETTINGS: &'static [MemberEntry<Self>];
    /// The files about an array in debugfs.
    const DEBUG_FILES: &'static [DebugEntry<Self>];

    /// Starts an array. Nothing of it is visible yet. What was set of the mddev is set anew when it
    /// starts again.
    ///
    /// # Errors
    ///
    /// Any; md core fails the start with it.
    fn run<'a>(
        mddev: &'a Mddev<Reconfig>,
        members: &'a Arc<Members>,
    ) -> Result<impl PinInit<Self, Error> + 'a>;

    /// The array runs: its data are in place, I/O may come.
    fn started(array: &Array<Self>);

    /// The array's thread has ended for good. The driver ends every I/O that it keeps, and keeps
    /// none from now on.
    fn stop(array: &Array<Self>);

    /// Handles a bio. The guard is there to look for a path with, and has to be dropped before
    /// anything that may sleep.
    fn make_request(array: Ref<Array<Self>>, bio: Bio, guard: Section);

    /// An I/O has come back from the path it was sent down. Any context.
    fn complete(io: Remap<Self>, path: Ref<Self::Path>, status: Status);

    /// The array's thread was woken by [`Array::wake`], or has slept for as long as it was told to.
    /// Says how long it may sleep now; without a limit it waits to be woken. Sleeps.
    fn thread(array: &Counted<Array<Self>>) -> Option<Delta>;

    /// There is something to tell user space: [`Array::wake_teller`] was called. Sleeps. No I/O
    /// waits for this.
    fn tell(array: &Array<Self>);

    /// Writes the array's part of `/proc/mdstat`.
    fn status(array: &Array<Self>, seq: &SeqFile);

    /// A member is said to have failed: by an I/O, or by `mdadm --fail`. The driver decides.
    fn error(array: &Array<Self>, rdev: &Rdev);

    /// Takes a new member into a slot: the one that [`Rdev::slot`] tells, if it tells one.
    ///
    /// # Errors
    ///
    /// Any; the member stays a spare.
    fn hot_add(array: &Array<Self>, mddev: &Mddev<Reconfig>, rdev: &Rdev) -> Result;

    /// Gives up a member, with the [`Member`](super::Member) that it had for it. Waits for no I/O.
    ///
    /// # Errors
    ///
    /// - `EBUSY`: the member is in use. md core asks again when the driver calls
    ///   [`Mddev::request_recovery`](super::Mddev::request_recovery).
    fn hot_remove(array: &Array<Self>, mddev: &Mddev<Reconfig>, rdev: &Rdev) -> Result;

    /// Changes the size that each member gives, in sectors.
    ///
    /// # Errors
    ///
    /// Any; nothing was changed then.
    fn resize(array: &Array<Self>, mddev: &Mddev<Reconfig>, sectors: u64) -> Result;

    /// Changes the number of slots, the chunk size or the layout to what md core has noted.
    ///
    /// # Errors
    ///
    /// Any; nothing was changed then.
    fn reshape(array: &Array<Self>, mddev: &Mddev<Reconfig>) -> Result;

    /// The size of the array, in sectors, were each member to give `sectors` (zero: as now).
    fn size(mddev: &Mddev<Reconfig>, sectors: u64) -> u64;
}

/// The functions that md core calls for personality `P`.
///
/// `mddev->private` is null or the raw form of a `Counted<Array<P>>`: set by [`Self::run`] when all
/// else has succeeded, taken back by [`Self::free`].
struct Adapter<P: Personality>(PhantomData<P>);

impl<P: Personality> Adapter<P> {
    /// # Safety
    ///
    /// - `mddev` is valid, runs `P`, and the caller holds `active_io`.
    /// - `bio` was submitted to its disk; this side has to end it.
    unsafe extern "C" fn make_request(
        mddev: *mut bindings::mddev,
        bio: *mut bindings::bio,
    ) -> bool {
        // SAFETY: By the first safety requirement. An array is not freed while I/O comes in: md core stops
        // none that anybody else has open, and who stops it has nothing more to send. It lets I/O in all the
        // same in two cases, and may then follow a null pointer itself, on any level (`md_handle_request`):
        // when `clear` or `inactive` is written to `array_state` of a read-only array in use, and for what
        // blk-throttle sends late of a reader that has closed the array. Nothing here can tell.
        let array = unsafe { Array::<P>::of(mddev) };
        // SAFETY: By the second safety requirement.
        let bio = unsafe { Bio::from_raw(bio) };
        match array.enter().or_else(|| Self::wait(array, bio.is_nowait())) {
            Some((array, guard)) => P::make_request(array, bio, guard),
            None => bio.end(Status::Again),
        }
        true
    }

    /// The array is quiesced: waits until it is open, unless the submitter forbids it.
    #[cold]
    #[inline(never)]
    fn wait(array: &Counted<Array<P>>, nowait: bool) -> Option<(Ref<Array<P>>, Section)> {
        if nowait {
            return None;
        }
        loop {
            array.wait_open();
            let entered = array.enter();
            if entered.is_some() {
                return entered;
            }
        }
    }

    /// # Safety
    ///
    /// - `mddev` is valid, runs no personality, and `reconfig_mutex` is held.
    unsafe extern "C" fn run(mddev: *mut bindings::mddev) -> c_int {
        from_result(|| {
            // SAFETY: By the safety requirement.
            let this = unsafe { Mddev::from_raw(mddev) };
            // SAFETY: By the safety requirement.
            if unsafe { (*mddev).gendisk }.is_null() {
                // Below device mapper there is no disk to set limits of and to account to.
                return Err(EINVAL);
            }
            let members = Members::new(this)?;
            let data = P::run(this, &members).inspect_err(|_| Self::wait_for(&members))?;
            // SAFETY: References are not null.
            let pointer = unsafe { NonNull::new_unchecked(mddev) };
            // SAFETY: md core calls `free` before the mddev goes, and `Counted` drops the array
            // only when no reference is left.
            let array = unsafe { Array::new(pointer, members.clone(), data) };
            let array = Counted::new(array).inspect_err(|_| Self::wait_for(&members))?;
            // From here on md core ends the thread and calls `free` if this fails.
            // SAFETY: The mddev is valid; nobody reads the field before the array runs.
            unsafe { (*mddev).private = array.into_raw() };
            let name = P::NAME.as_char_ptr();
            // SAFETY: `mddev` outlives its thread: md core ends the thread before `free`.
            let thread =
                unsafe { bindings::md_register_thread(Some(Self::housekeeping), mddev, name) };
            if thread.is_null() {
                return Err(ENOMEM);
            }
            // SAFETY: The mddev is valid, for this and the line after the next.
            let place = unsafe { &raw mut (*mddev).thread };
            // SAFETY: Both are valid; from here on md core owns the thread.
            unsafe { bindings::md_assign_thread(place, thread) };
            // SAFETY: `private` is set.
            let array = unsafe { Array::<P>::of(mddev) };
            // SAFETY: This is the only start; `free` stops the thread before the array goes.
            unsafe { array.thread.start(mddev, Self::thread, c"retry") }?;
            // SAFETY: As above.
            unsafe { array.teller.start(mddev, Self::teller, c"events") }?;
            // SAFETY: `private` is set, and stays so until `free`, which removes the files.
            unsafe { attribute::create::<P>(mddev) }?;
            this.try_for_each_rdev(|rdev| match rdev.slot() {
                // SAFETY: `free` and `hot_remove_disk` remove the files.
                Some(_) => unsafe { array.create_member_files(this, rdev) },
                None => Ok(()),
            })?;
            // SAFETY: `free` removes the files.
            unsafe { array.create_debug_files(this) };
            P::started(array);
            Ok(0)
        })
    }

    /// # Safety
    ///
    /// - `mddev` is valid, and `private` is its `private`; it ran `P`, or failed to start.
    /// - `reconfig_mutex` is held, I/O no longer comes in, and `private` is not used after this.
    unsafe extern "C" fn free(mddev: *mut bindings::mddev, private: *mut c_void) {
        // SAFETY: By the safety requirement.
        unsafe { attribute::remove::<P>(mddev) };
        // SAFETY: By the safety requirement, and as `run` had it from `into_raw`. It is dropped when the
        // threads, which borrow it, have ended; `stop` also waits for who is in `error` with RCU's read lock.
        let array: Counted<Array<P>> = unsafe { Counted::from_raw(private) };
        array.remove_debug_files();
        array.remove_member_files(|_| true);
        // SAFETY: By the safety requirement; `run` started it for this mddev, if at all.
        unsafe { array.thread.stop(mddev) };
        // SAFETY: As above.
        unsafe { array.teller.stop(mddev) };
        P::stop(&array);
        let members = array.members().clone();
        // Waits for the last I/O.
        drop(array);
        Self::wait_for(&members);
    }

    /// Waits until no member is left, before md core frees the rdevs. There is none, unless the
    /// driver has put one where it outlives the array; then this waits for ever, which is better
    /// than an rdev that is used after it was freed.
    fn wait_for(members: &Members) {
        while !members.all_free() {
            pr_err!("a member outlives its array; waiting\n");
            kernel::time::delay::fsleep(kernel::time::Delta::from_secs(60));
        }
    }

    /// # Safety
    ///
    /// - `thread` is the running thread, which [`Self::run`] has made.
    unsafe extern "C" fn thread(thread: *mut bindings::md_thread) {
        // SAFETY: By the safety requirement.
        let mddev = unsafe { (*thread).mddev };
        // SAFETY: The array is freed only after its thread has ended.
        let sleep = P::thread(unsafe { Array::of(mddev) });
        // SAFETY: By the safety requirement.
        unsafe { thread::set_sleep(thread, sleep) };
    }

    /// # Safety
    ///
    /// - `thread` is the running thread, which [`Self::run`] has made.
    unsafe extern "C" fn teller(thread: *mut bindings::md_thread) {
        // SAFETY: By the safety requirement.
        let mddev = unsafe { (*thread).mddev };
        // SAFETY: The array is freed only after its thread has ended.
        P::tell(unsafe { Array::<P>::of(mddev) });
    }

    /// # Safety
    ///
    /// - `thread` is the mddev's own, made by [`Self::run`].
    unsafe extern "C" fn housekeeping(thread: *mut bindings::md_thread) {
        // SAFETY: By the safety requirement.
        let mddev = unsafe { (*thread).mddev };
        // SAFETY: A thread's mddev is valid; this is the thread in which `md_check_recovery` is to
        // be called.
        unsafe { bindings::md_check_recovery(mddev) };
    }

    /// # Safety
    ///
    /// - `mddev` is valid and runs `P`; `seq` is valid and used by nobody else meanwhile.
    unsafe extern "C" fn status(seq: *mut bindings::seq_file, mddev: *mut bindings::mddev) {
        // SAFETY: By the safety requirement.
        let seq = unsafe { SeqFile::from_raw(seq) };
        // SAFETY: By the safety requirement; `mddev->lock` is held, under which the personality
        // is taken away before `free`.
        P::status(unsafe { Array::<P>::of(mddev) }, seq);
    }

    /// # Safety
    ///
    /// - `mddev` is valid and runs `P`; `rdev` is valid and bound to it.
    unsafe extern "C" fn error_handler(mddev: *mut bindings::mddev, rdev: *mut bindings::md_rdev) {
        // SAFETY: By the safety requirement.
        let rdev = unsafe { Rdev::from_raw(rdev) };
        // SAFETY: By the safety requirement.
        P::error(unsafe { Array::<P>::of(mddev) }, rdev);
    }

    /// # Safety
    ///
    /// - `mddev` is valid and runs `P`, and `reconfig_mutex` is held; `rdev` is valid, bound to it,
    ///   and no member of it in a slot yet.
    unsafe extern "C" fn hot_add_disk(
        mddev: *mut bindings::mddev,
        rdev: *mut bindings::md_rdev,
    ) -> c_int {
        from_result(|| {
            // SAFETY: By the safety requirement.
            let this = unsafe { Mddev::from_raw(mddev) };
            // SAFETY: By the safety requirement.
            let member = unsafe { Rdev::from_raw(rdev) };
            let _noio = NoIo::enter();
            // SAFETY: By the safety requirement.
            let array = unsafe { Array::<P>::of(mddev) };
            // md core takes the slot that user space has asked for without a look at who is in it.
            if member
                .slot()
                .is_some_and(|slot| !array.members().is_free(slot))
            {
                return Err(EBUSY);
            }
            P::hot_add(array, this, member).or_else(|error| {
                member.leave_slot(this, array.members());
                match member.slot() {
                    // The driver has kept a `Member`: it counts as added, until it is removed.
                    Some(_) => Ok(()),
                    None => Err(error),
                }
            })?;
            if member.slot().is_some() {
                // SAFETY: `free` and `hot_remove_disk` remove the files.
                unsafe { array.create_member_files(this, member) }
                    // It works without.
                    .unwrap_or_else(|_| pr_warn!("no memory for the settings of a member\n"));
            }
            Ok(0)
        })
    }

    /// # Safety
    ///
    /// - `mddev` is valid and runs `P`, and `reconfig_mutex` is held; `rdev` is valid, bound to it,
    ///   and in a slot.
    unsafe extern "C" fn hot_remove_disk(
        mddev: *mut bindings::mddev,
        rdev: *mut bindings::md_rdev,
    ) -> c_int {
        from_result(|| {
            // SAFETY: By the safety requirement.
            let this = unsafe { Mddev::from_raw(mddev) };
            // SAFETY: By the safety requirement.
            let member = unsafe { Rdev::from_raw(rdev) };
            let _noio = NoIo::enter();
            // SAFETY: By the safety requirement.
            let array = unsafe { Array::<P>::of(mddev) };
            P::hot_remove(array, this, member)?;
            match member.slot() {
                // The driver has kept a `Member`: md core must not free what that stands for.
                Some(slot) if !array.members().is_free(slot) => Err(EBUSY),
                _ => {
                    array.remove_member_files(|files| files.are_of(member));
                    Ok(0)
                }
            }
        })
    }

    /// # Safety
    ///
    /// - `mddev` is valid and runs `P`, and `reconfig_mutex` is held.
    unsafe extern "C" fn resize(mddev: *mut bindings::mddev, sectors: u64) -> c_int {
        from_result(|| {
            // SAFETY: By the safety requirement.
            let this = unsafe { Mddev::from_raw(mddev) };
            // SAFETY: By the safety requirement.
            P::resize(unsafe { Array::<P>::of(mddev) }, this, sectors)?;
            Ok(0)
        })
    }

    /// # Safety
    ///
    /// - `mddev` is valid and runs `P`, and `reconfig_mutex` is held.
    unsafe extern "C" fn check_reshape(mddev: *mut bindings::mddev) -> c_int {
        from_result(|| {
            // SAFETY: By the safety requirement.
            let this = unsafe { Mddev::from_raw(mddev) };
            // SAFETY: By the safety requirement.
            P::reshape(unsafe { Array::<P>::of(mddev) }, this)?;
            Ok(0)
        })
    }

    /// # Safety
    ///
    /// - `mddev` is valid, and `reconfig_mutex` is held.
    unsafe extern "C" fn size(mddev: *mut bindings::mddev, sectors: u64, _disks: c_int) -> u64 {
        // SAFETY: By the safety requirement.
        P::size(unsafe { Mddev::from_raw(mddev) }, sectors)
    }

    /// # Safety
    ///
    /// - `mddev` is valid and runs `P`, and goes on doing so until this returns.
    unsafe extern "C" fn quiesce(mddev: *mut bindings::mddev, quiesce: c_int) {
        // SAFETY: By the safety requirement.
        let array = unsafe { Array::<P>::of(mddev) };
        if quiesce != 0 {
            array.drain();
        } else {
            array.reopen();
            // What it could not send meanwhile, it can now.
            array.wake();
        }
    }
}

/// A registered personality. Dropping it takes the personality away; arrays that run keep it, and
/// with it the module, until they stop.
pub(crate) struct Registration<P: Personality> {
    _debug: Root,
    _personality: PhantomData<P>,
}

impl<P: Personality> Registration<P> {
    const PERSONALITY: bindings::md_personality = {
        // SAFETY: Zeroes are a valid `md_personality`: no name, no owner, no functions.
        let mut this: bindings::md_personality = unsafe { MaybeUninit::zeroed().assume_init() };
        this.head.type_ = bindings::md_submodule_type_MD_PERSONALITY;
        this.head.id = P::LEVEL;
        this.head.name = as_char_ptr_in_const_context(P::NAME);
        this.head.owner = this_module::<P::Module>().as_ptr();
        this.make_request = Some(Adapter::<P>::make_request);
        this.run = Some(Adapter::<P>::run);
        this.free = Some(Adapter::<P>::free);
        this.status = Some(Adapter::<P>::status);
        this.error_handler = Some(Adapter::<P>::error_handler);
        this.hot_add_disk = Some(Adapter::<P>::hot_add_disk);
        this.hot_remove_disk = Some(Adapter::<P>::hot_remove_disk);
        this.resize = Some(Adapter::<P>::resize);
        this.size = Some(Adapter::<P>::size);
        this.check_reshape = Some(Adapter::<P>::check_reshape);
        this.quiesce = Some(Adapter::<P>::quiesce);
        this
    };

    /// What md core is given: part of the module, and constant.
    const STATIC: &'static bindings::md_personality = &Self::PERSONALITY;

    fn head() -> *mut bindings::md_submodule_head {
        core::ptr::from_ref(&Self::STATIC.head).cast_mut()
    }

    /// Registers `P`, owned by its module: the module cannot be unloaded while an array of `P` runs.
    /// Sleeps.
    ///
    /// # Errors
    ///
    /// - `EBUSY`: the level has a personality already.
    /// - `ENOMEM`.
    pub(crate) fn new() -> Result<Self> {
        // Before the first array can look for it.
        let debug = Root::new::<P::Module>();
        // SAFETY: The personality is there as long as its module, which md core holds while it uses
        // it. md core does not write to it.
        to_result(unsafe { bindings::register_md_submodule(Self::head()) })?;
        Ok(Self {
            _debug: debug,
            _personality: PhantomData,
        })
    }
}

impl<P: Personality> Drop for Registration<P> {
    fn drop(&mut self) {
        // SAFETY: `new` has registered it.
        unsafe { bindings::unregister_md_submodule(Self::head()) };
        // Who ended the last I/O of an array may have been preempted on the way out of this module's code,
        // which goes next.
        // SAFETY: Nothing is held, and this may sleep.
        unsafe { bindings::synchronize_rcu_tasks() };
    }
}
