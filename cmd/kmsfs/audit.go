package main

import (
	"fmt"
	"log/slog"

	"kmsfs/fs"
	"kmsfs/kms"
)

// AuditConfig is about the audit records.
type AuditConfig struct {
	Required bool   `toml:"required"`    // a use of a key that cannot be recorded is refused
	Data     string `toml:"data-events"` // which uses of objects are recorded: none, read, write, all
	Partial  bool   `toml:"partial"`     // of verify: records may begin behind the first one
	Follow   bool   `toml:"follow"`      // of tail
	Lines    int    `toml:"lines"`       // of tail: how many of the last records
}

// Which data events are recorded, as CloudTrail's event selectors have it: none by default.
const (
	dataNone  = "none"
	dataRead  = "read"
	dataWrite = "write"
	dataAll   = "all"
)

// recorders are what records the uses of objects that the configuration asks for.
func (c *Config) recorders(s *kms.Service) (reads, writes fs.Recorder) {
	if c.Audit.Data == dataRead || c.Audit.Data == dataAll {
		reads = s
	}
	if c.Audit.Data == dataWrite || c.Audit.Data == dataAll {
		writes = s
	}
	return reads, writes
}

// openAudit opens the audit records and answers what the key service writes to.
func (o *owned) openAudit(key []byte, c *Config, log *slog.Logger) (kms.Auditor, error) {
	var err error
	o.audit, err = kms.OpenFileAuditor(beside(c.AuditDir, o.path, ".audit"),
		kms.AuditOptions{Key: key, Region: c.KMS.Region, Account: c.KMS.Account})
	if err != nil {
		return nil, err
	}
	if c.Audit.Required {
		return o.audit, nil
	}
	return kms.BestEffort(o.audit, func(e kms.Event, err error) {
		log.Error("a use of a key is not recorded", "operation", e.Operation, "key", e.KeyARN, "error", fmt.Sprint(err))
	}), nil
}
