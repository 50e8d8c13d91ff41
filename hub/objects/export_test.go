package objects

// FailFlush makes every flush of a file fail with err; nil makes it work again.
func (s *Store) FailFlush(err error) { s.fdatasync = func(int) error { return err } }
