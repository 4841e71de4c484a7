// SPDX-License-Identifier: GPL-2.0-or-later

#include <linux/debugfs.h>
#include <linux/err.h>

struct dentry *md_multipath_helper_debugfs_create_dir(const char *name, struct dentry *parent)
{
	return debugfs_create_dir(name, parent);
}

void md_multipath_helper_debugfs_create_file(const char *name, umode_t mode,
					     struct dentry *parent, void *data,
					     const struct file_operations *fops)
{
	debugfs_create_file(name, mode, parent, data, fops);
}

struct dentry *md_multipath_helper_debugfs_lookup(const char *name, struct dentry *parent)
{
	struct dentry *dentry = debugfs_lookup(name, parent);

	/* Without debugfs it is an error. */
	return IS_ERR(dentry) ? NULL : dentry;
}

void md_multipath_helper_debugfs_remove(struct dentry *dentry)
{
	debugfs_remove(dentry);
}
