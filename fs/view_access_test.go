package fs

import (
	"fmt"
	"testing"

	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"
)

// may is what the kernel lets somebody do with a file without an ACL.
func may(a access, uid uint32, gids ...uint32) uint32 {
	if uid == a.uid {
		return a.mode >> 6 & 7
	}
	for _, gid := range gids {
		if gid == a.gid {
			return a.mode >> 3 & 7
		}
	}
	return a.mode & 7
}

func TestMeetAllowsNobodyMore(t *testing.T) {
	modes := []uint32{0000, 0400, 0040, 0004, 0440, 0404, 0044, 0444, 0640, 0755}
	self := access{uid: 9, gid: 9}
	var all []access
	for _, uid := range []uint32{1, 2} {
		for _, gid := range []uint32{5, 6} {
			for _, mode := range modes {
				all = append(all, access{uid: uid, gid: gid, mode: mode})
			}
		}
	}
	people := []struct {
		uid  uint32
		gids []uint32
	}{{1, nil}, {1, []uint32{5}}, {1, []uint32{5, 6, 9}}, {2, []uint32{6}}, {3, nil}, {3, []uint32{5}}, {3, []uint32{6}}, {3, []uint32{5, 6}}, {3, []uint32{9}}}
	for _, a := range all {
		for _, b := range all {
			got := a.meet(b, self)
			for _, p := range people {
				if more := may(got, p.uid, p.gids...) &^ (may(a, p.uid, p.gids...) & may(b, p.uid, p.gids...)); more != 0 {
					t.Fatalf("%+v and %+v: %+v lets %d of %v do %o more", a, b, got, p.uid, p.gids, more)
				}
			}
		}
	}
}

func TestMeet(t *testing.T) {
	acl, other := []byte("one"), []byte("other")
	self := access{uid: 0, gid: 0}
	for _, c := range []struct {
		name       string
		a, b, want access
	}{
		{"the same", access{1, 5, 0644, nil}, access{1, 5, 0644, nil}, access{1, 5, 0644, nil}},
		{"less since", access{1, 5, 0644, nil}, access{1, 5, 0600, nil}, access{1, 5, 0600, nil}},
		{"more since", access{1, 5, 0600, nil}, access{1, 5, 0644, nil}, access{1, 5, 0600, nil}},
		{"another owner, private", access{1, 5, 0600, nil}, access{2, 5, 0600, nil}, access{0, 5, 0500, nil}},
		{"another owner, public", access{1, 5, 0644, nil}, access{2, 5, 0644, nil}, access{0, 5, 0544, nil}},
		{"another group", access{1, 5, 0640, nil}, access{1, 6, 0640, nil}, access{1, 0, 0600, nil}},
		{"another group, public", access{1, 5, 0644, nil}, access{1, 6, 0644, nil}, access{1, 0, 0644, nil}},
		{"the same ACL", access{1, 5, 0660, acl}, access{1, 5, 0640, acl}, access{1, 5, 0640, acl}},
		{"another ACL", access{1, 5, 0664, acl}, access{1, 5, 0664, other}, access{1, 5, 0600, nil}},
		{"an ACL since", access{1, 5, 0664, nil}, access{1, 5, 0664, acl}, access{1, 5, 0600, nil}},
		{"an ACL and another owner", access{1, 5, 0664, acl}, access{2, 5, 0664, acl}, access{0, 5, 0500, nil}},
	} {
		if got := c.a.meet(c.b, self); fmt.Sprint(got) != fmt.Sprint(c.want) {
			t.Errorf("%s: got %o, want %o", c.name, got, c.want)
		}
	}
}

func TestViewXattrs(t *testing.T) {
	b := newViewBed(t)
	attr := Attr{Mode: 0600, Xattrs: map[string][]byte{
		"user.colour": []byte("red"), inoXattr: []byte("1"), "security.capability": []byte("x"), aclAccess: []byte("acl"),
	}}
	b.past.keep("a.json", 1, "[]", attr)
	b.file("a.json", "[]", 0600)
	id := b.found("at/s1/a.json").NodeId
	list := make([]byte, 200)
	n, status := b.w.ListXAttr(nil, &fuse.InHeader{NodeId: id}, list)
	if got := string(list[:n]); !status.Ok() || got != "user.colour\x00" {
		t.Errorf("list: got %q, %v", got, status)
	}
	for name, want := range map[string]fuse.Status{
		"user.colour": fuse.OK, inoXattr: fuse.Status(unix.ENODATA), "security.capability": fuse.Status(unix.ENODATA),
		aclAccess: fuse.Status(unix.ENODATA), // the file outside has none: the owner's alone
	} {
		if _, status := b.w.GetXAttr(nil, &fuse.InHeader{NodeId: id}, name, list); status != want {
			t.Errorf("%s: got %v, want %v", name, status, want)
		}
	}
}
