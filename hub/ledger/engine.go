package ledger

import (
	"context"
	"database/sql"
	"errors"
	"time"
)

// engine is what SQLite and PostgreSQL do differently. All else is one text of SQL for
// both, in what they have in common: PostgreSQL's connections take SQLite's
// placeholders, truth as 0 and 1 (see dialect.go), and definitions are translated.
//
// begin and commit are called by the committer alone, one after the other: there is
// one writer at a time, over all processes and nodes.
type engine interface {
	String() string // for messages, without secrets
	// open fills in write, read and watch of the ledger, after having brought the
	// schema up to date.
	open(ctx context.Context) error
	limit(long bool) (context.Context, context.CancelFunc) // how long a transaction may take
	// begin waits for its turn to write, begins a transaction and says when it is.
	// What it has opened it leaves to rollback.
	begin(b *batch) error
	// commit ends the transaction. Without error it is durable; that is the commit
	// point. With an error it is not written, for which the engine looks after a lost
	// connection, or errUnknown.
	commit(b *batch) error
	rollback(b *batch)
	// judge tells what passes from what ends the ledger, and calls fail for that.
	judge(err error) error
	// passes says that an error is nobody's fault and passes; pause, after how long a
	// transaction that failed so n times is tried again, and false when it is not.
	passes(err error) bool
	pause(err error, n int, began time.Time) (time.Duration, bool)
	// insert runs an INSERT of one or more rows and returns the number, column seq, of
	// each that was inserted, in the order of VALUES.
	insert(b *batch, query string, args []any) ([]int64, error)
	snapshot() *sql.TxOptions
	away() bool   // the last transaction found no database to write to
	ahead() int64 // milliseconds by which the database's clock is before that of Config
}

// errUnknown is of a transaction whose COMMIT was sent to a database that has been away
// since. Whoever wanted it tries again: everything that changes rows may be repeated.
var errUnknown = errors.New("the database went away while it was writing, whether it has written is not known")
