package ledger

import (
	"context"
	"path/filepath"
	"sync"
	"testing"
)

// hubd run and hubd code new may both be the first to open a ledger.
func TestAnyNumberMayOpenANewLedgerAtOnce(t *testing.T) {
	for range 200 { // one in a hundred fails when BUSY is not asked again
		path := filepath.Join(t.TempDir(), "ledger.db")
		var all sync.WaitGroup
		for range 4 {
			all.Go(func() {
				l, err := Open(context.Background(), Config{Path: path})
				if err != nil {
					t.Error(err)
					return
				}
				l.Close()
			})
		}
		all.Wait()
	}
}
