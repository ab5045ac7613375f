package integration

import (
	"os"
	"testing"

	"intactfs/integration/harness"
)

func TestMain(m *testing.M) { os.Exit(harness.Main(m)) }
