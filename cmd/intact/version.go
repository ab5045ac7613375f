package main

import (
	"runtime/debug"

	"github.com/spf13/cobra"
)

// release is set by the linker: -X main.release=1.2.3.
var release = ""

// version is the release, or what the build knows of its revision.
func version() string {
	if release != "" {
		return release
	}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "devel"
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" && len(s.Value) >= 12 {
			return "devel-" + s.Value[:12]
		}
	}
	return "devel"
}

func (a *app) versionCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "version",
		Short: "print the version of intact",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			return a.printResult(map[string]string{"version": version()}, "intact %s\n", version())
		},
	}
	return a.withJSON(c)
}
