package main

import "testing"

// TestFound tries states that once broke a promise: a record that an earlier
// process left was compared with another one, once what came before it in the
// batch was on the disk; and, the last, the end of a pack of which a sector was
// never written passed for damage.
func TestFound(t *testing.T) {
	found := []struct {
		seed   int64
		states []string
	}{
		{1, []string{"1142.59.1", "1151.68.1", "1299.50.1", "1321.127.3", "1485.88.1", "1606.167.1", "1644.199.2", "1685.165.3", "1225.88.1"}},
		{3, []string{"1127.76.5", "1141.37.5", "1214.64.5", "1482.114.5", "1738.46.5"}},
	}
	for _, f := range found {
		for _, text := range f.states {
			s, err := parseState(text)
			if err != nil {
				t.Fatal(err)
			}
			r := campaign(config{seed: f.seed, only: &s})
			if r.states != 1 {
				t.Errorf("%s of seed %d: %d states were tried", text, f.seed, r.states)
			}
			for _, v := range r.wrong {
				t.Error(v)
			}
		}
	}
}
