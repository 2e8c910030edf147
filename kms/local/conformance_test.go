package local_test

import (
	"testing"

	"kmsfs/kms"
	"kmsfs/kms/kmstest"
)

func TestConformance(t *testing.T) {
	kmstest.Run(t, func(t *testing.T) kms.Backend { return kmstest.NewBackend(t) })
}

// TestConformanceThroughFault shows that the fault wrapper without rules changes nothing.
func TestConformanceThroughFault(t *testing.T) {
	kmstest.Run(t, func(t *testing.T) kms.Backend { return kmstest.NewFault(kmstest.NewBackend(t)) })
}
