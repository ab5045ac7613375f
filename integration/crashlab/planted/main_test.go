package planted

import (
	"testing"

	"intactfs/integration/crashlab/labtest"
)

func TestMain(m *testing.M) { labtest.Main(m) }
