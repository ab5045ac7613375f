package main

import (
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"intactfs/store"
)

// mountFlags are the flags of mount and run.
type mountFlags struct {
	foreground   bool
	durability   string
	idleCommit   time.Duration
	publishDelay time.Duration
	onConflict   string
	logPath      string
	verbose      bool
	debug        bool
	options      []string // for FUSE
	rules        []string // GLOB=FORMAT
	readyFD      int

	changed func(name string) bool
}

func (f *mountFlags) register(flags *pflag.FlagSet) {
	flags.StringVar(&f.durability, "durability", "full", "what a close promises: full survives power loss, relaxed may lose the last second")
	flags.DurationVar(&f.idleCommit, "idle-commit", 200*time.Millisecond, "quiet time after which an open, valid file is committed")
	flags.DurationVar(&f.publishDelay, "publish-delay", 2*time.Second, "how long the directory beneath may lag behind the journal")
	flags.StringVar(&f.onConflict, "on-conflict", "keep", "when a save replaces one its writer had not seen: keep both, or refuse")
	flags.StringVar(&f.logPath, "log-file", "", "log to this file (default: .intact/log in the background, else stderr)")
	flags.BoolVarP(&f.verbose, "verbose", "v", false, "log every commit")
	flags.BoolVar(&f.debug, "debug", false, "log every request of the kernel")
	flags.StringArrayVar(&f.rules, "rule", nil, "protect what matches, as GLOB=FORMAT, before the rules of config.toml")
	flags.StringSliceVarP(&f.options, "option", "o", nil, "mount options of FUSE: ro, allow_other, ...")
	f.changed = flags.Changed
}

// check refuses values that the flags' types let through.
func (f *mountFlags) check() error {
	switch {
	case f.durability != string(store.Full) && f.durability != string(store.Relaxed):
		return usageError{fmt.Errorf("--durability is %q, want full or relaxed", f.durability)}
	case f.onConflict != string(store.ConflictKeep) && f.onConflict != string(store.ConflictRefuse):
		return usageError{fmt.Errorf("--on-conflict is %q, want keep or refuse", f.onConflict)}
	case f.idleCommit < 0:
		return usageError{errors.New("--idle-commit can't be negative; 0 is never")}
	case f.publishDelay <= 0:
		return usageError{errors.New("--publish-delay has to be more than 0")}
	}
	for _, text := range f.rules {
		if _, err := store.ParseRule(text); err != nil {
			return usageError{fmt.Errorf("--%w", err)}
		}
	}
	return nil
}

// override lets the flags that were given win over config.toml.
func (f *mountFlags) override(c *store.Config) {
	if f.changed("durability") {
		c.Durability = store.Durability(f.durability)
	}
	if f.changed("idle-commit") {
		d := store.Duration(f.idleCommit)
		c.IdleCommit = &d
	}
	if f.changed("publish-delay") {
		c.PublishDelay = store.Duration(f.publishDelay)
	}
	if f.changed("on-conflict") {
		c.OnConflict = store.Conflict(f.onConflict)
	}
	var rules []store.RuleConfig
	for _, text := range f.rules {
		if r, err := store.ParseRule(text); err == nil { // check has seen them
			rules = append(rules, r)
		}
	}
	c.Rules = append(rules, c.Rules...)
}

func (f *mountFlags) level() slog.Level {
	if f.verbose || f.debug {
		return slog.LevelDebug
	}
	return slog.LevelInfo
}

// args repeats the flags for a child.
func (f *mountFlags) args() []string {
	var args []string
	for name, value := range map[string]string{
		"durability": f.durability, "idle-commit": f.idleCommit.String(),
		"publish-delay": f.publishDelay.String(), "on-conflict": f.onConflict,
	} {
		if f.changed(name) {
			args = append(args, "--"+name+"="+value)
		}
	}
	if f.verbose {
		args = append(args, "--verbose")
	}
	if f.debug {
		args = append(args, "--debug")
	}
	for _, rule := range f.rules {
		args = append(args, "--rule="+rule)
	}
	if len(f.options) > 0 {
		args = append(args, "--option="+strings.Join(f.options, ","))
	}
	return args
}

func (a *app) mountCommand() *cobra.Command {
	var f mountFlags
	var fake bool
	c := &cobra.Command{
		Use:   "mount [flags] DIR [MOUNTPOINT]",
		Short: "mount over a directory, or show it on a mount point",
		Long: `Mount serves DIR, over itself or on MOUNTPOINT, and returns when it is ready.
The files that a rule protects are then replaced in one step and validated;
all others behave as before. Rules and defaults: DIR/.intact/config.toml.

mount -t fuse.intact DIR MOUNTPOINT and a line in fstab do the same, with flags
as options: durability=relaxed,idle_commit=1s,noauto. intact has to be where
root finds programs, /usr/local/bin for one, or be linked to as
/sbin/mount.fuse.intact: then mount -f, which only looks at the options, works
too. intact unmount waits until the directory beneath is up to date; umount(8)
does not, and the daemon goes on for a moment.`,
		Example: "  intact mount /srv/app/data\n  intact mount -f --durability=relaxed data /mnt",
		Args:    cobra.RangeArgs(1, 2),
		RunE: func(c *cobra.Command, args []string) error {
			if err := f.check(); err != nil {
				return err
			}
			dir, point := args[0], args[len(args)-1]
			if fake {
				if f.verbose {
					a.tell("%s would be mounted on %s", dir, point)
				}
				return nil
			}
			if f.foreground {
				return a.serve(c.Context(), dir, point, &f)
			}
			daemon, err := a.startDaemon(c.Context(), dir, point, &f)
			if err != nil {
				return err
			}
			return daemon.Process.Release()
		},
		ValidArgsFunction: completeDirs,
	}
	c.Flags().BoolVarP(&f.foreground, "foreground", "f", false, "stay in the foreground")
	c.Flags().BoolVar(&fake, "fake", false, "only look at the options, as mount(8) means by -f")
	_ = c.Flags().MarkHidden("fake")
	c.Flags().IntVar(&f.readyFD, "ready-fd", 0, "tell on this descriptor when it serves")
	_ = c.Flags().MarkHidden("ready-fd")
	f.register(c.Flags())
	return c
}

// completeDirs completes directories only.
func completeDirs(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	return nil, cobra.ShellCompDirectiveFilterDirs
}

// mountHelperArgs translates what mount(8) and mount.fuse3 run,
// "intact DIR MNT -o opt,opt=val", into a mount command.
func mountHelperArgs(argv []string, isCommand func(string) bool) ([]string, bool) {
	base := filepath.Base(argv[0])
	switch {
	case base == "mount.fuse.intact", base == "mount.intact":
	case len(argv) < 3 || strings.HasPrefix(argv[1], "-") || isCommand(argv[1]):
		return nil, false
	case strings.HasPrefix(argv[1], "/"):
	case len(argv) < 4 || argv[3] != "-o": // what is not there stays relative
		return nil, false
	}
	args := []string{"mount"}
	var places []string
	for i := 1; i < len(argv); i++ {
		switch arg := argv[i]; {
		case arg == "-o" && i+1 < len(argv):
			i++
			args = append(args, helperOptions(argv[i])...)
		case strings.HasPrefix(arg, "-o") && len(arg) > 2:
			args = append(args, helperOptions(arg[2:])...)
		case arg == "-t" && i+1 < len(argv):
			i++
		case len(arg) > 1 && strings.Trim(arg[1:], "sfnv") == "" && arg[0] == '-':
			// Sloppy and no mtab are nothing here.
			if strings.Contains(arg, "v") {
				args = append(args, "--verbose")
			}
			if strings.Contains(arg, "f") {
				args = append(args, "--fake")
			}
		default:
			places = append(places, arg)
		}
	}
	return append(append(args, "--"), places...), true
}

// ownOptions are the mount options that are flags of intact.
var ownOptions = map[string]string{
	"durability": "durability", "idle_commit": "idle-commit", "publish_delay": "publish-delay",
	"on_conflict": "on-conflict", "log_file": "log-file", "rule": "rule", "verbose": "verbose", "debug": "debug",
}

// ignoredOptions are for mount(8) itself, or the default.
var ignoredOptions = map[string]bool{
	"defaults": true, "rw": true, "auto": true, "noauto": true, "user": true, "users": true, "owner": true,
	"nouser": true, "nofail": true, "_netdev": true, "exec": true, "suid": true, "dev": true, "async": true,
}

func helperOptions(list string) []string {
	var args []string
	for _, option := range strings.Split(list, ",") {
		name, value, has := strings.Cut(option, "=")
		flag, own := ownOptions[strings.ReplaceAll(name, "-", "_")]
		switch {
		case option == "" || ignoredOptions[name] || strings.HasPrefix(name, "x-"):
		case own && has:
			args = append(args, "--"+flag+"="+value)
		case own:
			args = append(args, "--"+flag)
		default:
			args = append(args, "--option="+option)
		}
	}
	return args
}
