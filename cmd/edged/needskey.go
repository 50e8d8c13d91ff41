package main

// needsKey looks for one encrypted file.
func needsKey(dir string) (bool, error) {
	n, err := filesWith("EDGEDENC", dir)
	return n > 0, err
}
