package journal

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io"

	"intactfs/journal/disk"
)

// Check reads the whole journal of d and changes nothing. Every record is
// compared with its checksum, and every pending content with its SHA-256.
// What is wrong is in the report, and an error only what kept it from
// reading. No journal at all is nothing wrong.
func Check(ctx context.Context, d disk.Disk) (CheckReport, error) {
	j, found, err := Open(d, Options{ReadOnly: true})
	if err != nil {
		return CheckReport{}, fmt.Errorf("check: %w", err)
	}
	defer j.closeFiles()
	report := CheckReport{Segments: found.Segments, Records: found.Records, Pending: found.Pending,
		TornBytes: found.TornBytes, Torn: found.Torn, Damage: found.Damage}
	missing := map[string]bool{}
	for _, d := range found.Damage {
		missing[d.Segment] = true
	}
	for path, vs := range j.index.paths {
		for _, v := range vs {
			if err := ctx.Err(); err != nil {
				return report, fmt.Errorf("check: %w", err)
			}
			if missing[v.stage] {
				continue // told already
			}
			n, sum, err := j.digest(v)
			report.Verified += n
			if err == nil && (sum == v.SHA256 || v.SHA256 == [32]byte{}) {
				continue
			}
			damage := Damage{Segment: v.seg.name, Offset: v.off, Reason: "content of " + path + " has another checksum"}
			if v.stage != "" {
				damage.Segment, damage.Offset = v.stage, 0
			}
			if err != nil {
				damage.Reason = err.Error()
			}
			report.Damage = append(report.Damage, damage)
		}
	}
	return report, nil
}

// digest reads the whole content of v.
func (j *Journal) digest(v *version) (int64, [32]byte, error) {
	c, err := j.open(v)
	if err != nil {
		return 0, [32]byte{}, err
	}
	defer func() { _ = c.Close() }() // was only read
	sum := sha256.New()
	n, err := io.Copy(sum, io.NewSectionReader(c, 0, v.Size))
	return n, [32]byte(sum.Sum(nil)), err
}
