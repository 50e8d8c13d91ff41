package ledger

import (
	"database/sql"
	"slices"
	"strings"
)

// A list in a statement has one of a few lengths, so that few statements are prepared:
// it is filled up with its last value. maxMarks bounds it.
const maxMarks = 256

var markSizes = []int{1, 4, 16, 64, maxMarks}

// marks is (?, ?, ...) for all of args from the first on, at least one and at most
// maxMarks, which it fills up.
func marks(args *[]any, first int) string {
	n := len(*args) - first
	last := (*args)[len(*args)-1]
	for _, size := range markSizes {
		if n > size {
			continue
		}
		for range size - n {
			*args = append(*args, last)
		}
		n = size
		break
	}
	return "(?" + strings.Repeat(", ?", n-1) + ")"
}

// rowSizes are the numbers of rows that one INSERT has.
var rowSizes = []int{64, 16, 4, 1}

// insertRows inserts rows, of width values each, by as few statements as there are
// sizes for. before ends with VALUES, after may say ON CONFLICT. It returns how many
// rows were inserted.
func (b *batch) insertRows(before, after string, width int, values []any) (int64, error) {
	var total int64
	err := inRows(before, after, width, values, func(query string, args []any) error {
		n, err := b.exec(query, args...)
		total += n
		return err
	})
	return total, err
}

// numberRows is insertRows for rows that have a number and are all new: it returns
// their numbers, in order.
func (b *batch) numberRows(before string, width int, values []any) (seqs []int64, err error) {
	err = inRows(before, "", width, values, func(query string, args []any) error {
		more, err := b.engine.insert(b, query, args)
		seqs = append(seqs, more...)
		return err
	})
	return seqs, err
}

func inRows(before, after string, width int, values []any, do func(string, []any) error) error {
	row := "(?" + strings.Repeat(", ?", width-1) + ")"
	for _, size := range rowSizes {
		query := ""
		for len(values) >= size*width {
			if query == "" {
				query = before + " " + row + strings.Repeat(", "+row, size-1) + after
			}
			if err := do(query, values[:size*width]); err != nil {
				return err
			}
			values = values[size*width:]
		}
	}
	return nil
}

// each calls do for every row of a query that ends with IN, for the values in parts. do
// must not use the batch.
func (b *batch) each(query string, values []any, do func(scan func(...any) error) error) error {
	for chunk := range slices.Chunk(values, maxMarks) {
		args := slices.Clone(chunk)
		s, err := b.stmt(query + marks(&args, 0))
		if err != nil {
			return err
		}
		rows, err := s.Query(args...)
		if err != nil {
			return err
		}
		if err := eachRow(rows, do); err != nil {
			return err
		}
	}
	return nil
}

// eachRow closes rows.
func eachRow(rows *sql.Rows, do func(scan func(...any) error) error) error {
	defer rows.Close()
	for rows.Next() {
		if err := do(rows.Scan); err != nil {
			return err
		}
	}
	return rows.Err()
}
