//go:build race

package journal

// stride leaves out most cases of the exhaustive tests under the race
// detector: they have one goroutine each.
const stride = 11
