package gateway

import (
	"os"
	"testing"

	"regent/internal/leaks"
)

func TestMain(m *testing.M) { os.Exit(leaks.Run(m)) }
