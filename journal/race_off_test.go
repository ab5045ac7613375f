//go:build !race

package journal

// stride is the distance of the cases of the exhaustive tests.
const stride = 1
