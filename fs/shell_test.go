package fs

import (
	"strings"
	"testing"
)

// TestShell runs what people write in shells. Before each case f.json holds
// oldDoc.
func TestShell(t *testing.T) {
	for _, tc := range []struct {
		name, script string
		want         string // f.json in the end
		out          string // what the script must print
		refused      bool
	}{
		{"echo", `echo '{"a":1}' > f.json`, "{\"a\":1}\n", "", false},
		{"printf without newline", `printf '{}' > f.json`, `{}`, "", false},
		{"external command", `/bin/echo '{"a":1}' > f.json`, "{\"a\":1}\n", "", false},
		{"group of external commands", `{ /bin/echo '{"a":'; sleep 0.2; cat f.json >&2; /bin/echo '1}'; } > f.json`,
			"{\"a\":\n1}\n", oldDoc, false},
		{"group whose start is whole", `{ /bin/echo '{"first":1}'; cat f.json >&2; /bin/echo '{"second":1}'; } > f.json`,
			oldDoc, oldDoc, true},
		{"subshell", `( /bin/echo '['; /bin/echo ']' ) > f.json`, "[\n]\n", "", false},
		{"heredoc", "cat > f.json <<EOF\n[1,\n2]\nEOF", "[1,\n2]\n", "", false},
		{"exec", `exec 3> f.json; echo '[' >&3; cat f.json; echo ']' >&3; exec 3>&-; cat f.json`,
			"[\n]\n", oldDoc + "[\n]\n", false},
		{"a background child outlives its parent's descriptor",
			`{ sleep 0.3; echo '{}'; } > f.json & cat f.json; wait; cat f.json`, "{}\n", oldDoc + "{}\n", false},
		{"a child that holds it without writing", `sleep 0.3 > f.json & wait; cat f.json`, oldDoc, oldDoc, false},
		{"emptied then appended", `: > f.json; cat f.json; echo '[1]' >> f.json`, "[1]\n", oldDoc, false},
		{"filter onto itself", `cat f.json | cat > f.json`, oldDoc, "", false},
		{"cp", `echo '[1]' > t; cp t f.json`, "[1]\n", "", false},
		{"cp -p", `echo '[1]' > t; chmod 600 t; cp -p t f.json; stat -c %a f.json`, "[1]\n", "600\n", false},
		{"cp of garbage", `echo '[1' > t; cp t f.json 2>/dev/null || echo failed`, oldDoc, "failed\n", true},
		{"mv", `echo '[1]' > t; mv t f.json`, "[1]\n", "", false},
		{"mv of garbage", `echo '[1' > t; mv t f.json 2>/dev/null || echo failed`, oldDoc, "failed\n", true},
		{"dd", `printf '[1]' | dd of=f.json status=none`, `[1]`, "", false},
		{"dd in place", `printf '2' | dd of=f.json bs=1 seek=7 conv=notrunc status=none`, `{"old":2}`, "", false},
		{"tee", `echo '[1]' | tee f.json`, "[1]\n", "[1]\n", false},
		{"sed -i", `sed -i s/old/mid/ f.json`, `{"mid":1}`, "", false},
		{"install", `echo '[1]' > t; install -m 640 t f.json; stat -c %a f.json`, "[1]\n", "640\n", false},
		{"ln -f", `echo '[1]' > t; ln -f t f.json`, "[1]\n", "", false},
		{"touch", `touch f.json; touch n.json; chmod 600 n.json; echo '{}' > n.json; cat n.json`, oldDoc, "{}\n", false},
		{"rm", `rm f.json; ls; echo '{}' > f.json`, "{}\n", "", false},
		{"truncate -s 0 and append", `truncate -s 0 f.json; cat f.json; echo '[]' >> f.json`, "[]\n", oldDoc, false},
		{"killed in the middle", `sh -c 'echo "[1" ; kill -9 $$' > f.json; cat f.json`, oldDoc, "Killed\n" + oldDoc, true},
		{"tar", `mkdir d; cp f.json d; tar cf t.tar d; rm -r d; tar xf t.tar; cat d/f.json`, oldDoc, oldDoc, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			m := mount(t, testRules{})
			m.seed(t, "f.json", oldDoc)
			out, err := m.shell(t, tc.script)
			if err != nil && !tc.refused {
				t.Errorf("%v: %s", err, out)
			}
			if got := out; got != tc.out && !strings.HasSuffix(got, tc.out) {
				t.Errorf("output: got %q, want %q", got, tc.out)
			}
			c := m.client(t)
			c.eventually(tc.want, "cat", "f.json")
			c.end()
			poll(t, func() string {
				if refused := len(m.store.refused()) > 0; refused != tc.refused {
					return "refusals are not as wanted"
				}
				return ""
			})
		})
	}
}

// TestOverItself mounts over the backing directory.
func TestOverItself(t *testing.T) {
	m := mount(t, testRules{}, func(o *Options) { o.MountPoint = o.RootPath })
	m.dir = m.back
	out, err := m.shell(t, `echo '{}' > a.json; mkdir d; echo x > d/plain; mv d e; cat e/plain a.json; ls -a`)
	if err != nil || out != "x\n{}\n.\n..\na.json\ne\n" {
		t.Errorf("got %q, %v", out, err)
	}
}
