package fs

import (
	"bytes"
	"errors"

	"golang.org/x/sys/unix"
)

const aclAccess = "system.posix_acl_access"

// access is who may read a file: its owner, its permission bits, and its
// access ACL, nil if it has none.
type access struct {
	uid, gid, mode uint32
	acl            []byte
}

func accessOf(a Attr) access {
	return access{a.UID, a.GID, a.Mode & 0777, a.Xattrs[aclAccess]}
}

// meet allows what both a and b allow, and where that can't be said in the
// terms of one file, less. An owner or group that they don't share gives way
// to that of self, which is the daemon's own.
func (a access) meet(b, self access) access {
	mode := a.mode & b.mode
	user, group, other := mode>>6&7, mode>>3&7, mode&7
	out := access{uid: a.uid, gid: a.gid, acl: a.acl}
	if !bytes.Equal(a.acl, b.acl) || a.acl != nil && (a.uid != b.uid || a.gid != b.gid) {
		// The group's bits are the mask of an ACL, not the group's, and
		// somebody may be named in it to be refused.
		group, other, out.acl = 0, 0, nil
	}
	if a.uid != b.uid {
		// Each owner is a member of the group or one of the others now.
		group, other = group&user, other&user
		out.uid, user = self.uid, 5
	}
	if a.gid != b.gid {
		other &= group
		out.gid, group = self.gid, other
	}
	out.mode = user<<6 | group<<3 | other
	return out
}

// live is the access to what is at a path now, and its type; false if nothing
// is, or it can't be told.
func (v *view) live(path string) (access, uint32, bool) {
	if path != "" {
		if pending, ok := v.s.store.Pending(path); ok {
			return accessOf(pending.Attr), unix.S_IFREG, true
		}
	}
	fd := v.s.rootFD
	if path != "" {
		how := &unix.OpenHow{
			Flags:   unix.O_PATH | unix.O_NOFOLLOW | unix.O_CLOEXEC,
			Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS,
		}
		err := retry(func() error {
			var err error
			fd, err = unix.Openat2(v.s.rootFD, path, how)
			return err
		})
		if err != nil {
			return access{}, 0, false
		}
		defer func() { _ = unix.Close(fd) }()
	}
	var st unix.Stat_t
	if err := unix.Fstatat(fd, "", &st, unix.AT_EMPTY_PATH); err != nil {
		return access{}, 0, false
	}
	a := access{uid: st.Uid, gid: st.Gid, mode: st.Mode & 0777}
	acl, err := xattrValue(procPath(fd), aclAccess)
	if err == nil {
		a.acl = acl
	}
	return a, st.Mode & unix.S_IFMT, err == nil || errors.Is(err, unix.ENODATA) || errors.Is(err, unix.EOPNOTSUPP)
}

// fileAccess is who may read a version: those who might read the file it came
// from and may read the file that has its name now. When that is gone it is
// the owner alone, as its permissions may have been taken back last.
func (v *view) fileAccess(n *viewNode) access {
	if n.refusal != nil {
		// Nobody knows whom a content was meant for that got no name.
		return access{uid: n.refusal.UID, gid: v.self.gid, mode: 0400}
	}
	own := accessOf(n.version.Attr)
	if now, kind, ok := v.live(n.path); ok && kind == unix.S_IFREG {
		return own.meet(now, v.self)
	}
	versions, err := v.versions(n.path, cachedOK)
	for i := len(versions) - 1; err == nil && i >= 0; i-- {
		if !versions[i].Removed {
			own = own.meet(accessOf(versions[i].Attr), v.self)
			break
		}
	}
	return access{uid: own.uid, gid: own.gid, mode: own.mode & 0700}
}

// dirAccess is who may list a directory: those who may list the one that has
// its name now. Where there is none nobody knows who might, and it is the
// daemon's. The directory of a file's versions tells what stat tells of a
// file, and is for everybody who gets there.
func (v *view) dirAccess(n *viewNode) access {
	now, kind, ok := v.live(n.path)
	switch {
	case ok && kind == unix.S_IFDIR:
		return now
	case n.hasDir:
		return access{uid: v.self.uid, gid: v.self.gid, mode: 0500}
	}
	return access{uid: v.self.uid, gid: v.self.gid, mode: 0555}
}
