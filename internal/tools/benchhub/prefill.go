package main

import (
	"context"
	"database/sql"
	"fmt"
	"path/filepath"
	"time"
)

// prefill enters objects that were received and archived today and whose files are
// gone, in studies of fifty, with their receipts. It goes around the ledger, which is
// closed: entered one by one they would take longer than all that is measured with them.
func (c cell) prefill(ctx context.Context, data string) (took time.Duration, err error) {
	if c.before == 0 {
		return 0, nil
	}
	began := time.Now()
	driver, source, id := "sqlite", filepath.Join(data, "ledger.db"), "randomblob(32)"
	if c.database != "" {
		driver, source, id = "pgx", c.database, "sha256(int8send(i))"
	}
	db, err := sql.Open(driver, source)
	if err != nil {
		return 0, err
	}
	defer db.Close()
	db.SetMaxOpenConns(1) // for what is set for a connection
	statements := []string{"VACUUM", "ANALYZE"}
	if c.database == "" {
		statements = []string{"PRAGMA wal_checkpoint(TRUNCATE)"}
		for _, pragma := range []string{"synchronous = OFF", "cache_size = -400000"} {
			if _, err := db.ExecContext(ctx, "PRAGMA "+pragma); err != nil {
				return 0, err
			}
		}
	}
	if err := c.fill(ctx, db, id); err != nil {
		return 0, err
	}
	for _, s := range statements {
		if _, err := db.ExecContext(ctx, s); err != nil {
			return 0, err
		}
	}
	return time.Since(began), nil
}

// fill writes the rows in one transaction.
func (c cell) fill(ctx context.Context, db *sql.DB, id string) error {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	now := time.Now().UnixMilli()
	objects := fmt.Sprintf(`WITH RECURSIVE n(i) AS (SELECT CAST(0 AS BIGINT) UNION ALL SELECT i + 1 FROM n WHERE i < %d)
		INSERT INTO objects (id, transfer_syntax, sop_class, sop_instance, length, study, priority, flags, calling, device, modality, received_at, archived_at, file)
		SELECT %s, '1.2.840.10008.1.2.1', '1.2.840.10008.5.1.4.1.1.2', '2.25.' || (1000000000000 + i / 50) || '.' || i, %d, '2.25.' || (1000000000000 + i / 50),
			1, 0, 'CT1', 'bench-before', 'CT', %d, %d, 2 FROM n`, c.before-1, id, large, now, now)
	for _, s := range []string{objects,
		`INSERT INTO receipts (device, id, length, at) SELECT device, id, length, received_at FROM objects`,
		fmt.Sprintf(`UPDATE counters SET n = n + %d WHERE name IN ('objects', 'receipts', 'archived')`, c.before),
	} {
		if _, err := tx.ExecContext(ctx, s); err != nil {
			return fmt.Errorf("enter %d objects: %w", c.before, err)
		}
	}
	return tx.Commit()
}
