// Fuzz runs every fuzz target of the module for a given time each, one after
// the other, and ends with a line that counts them. A target that finds
// something ends the run; its input stays in the package's testdata.
package main

import (
	"flag"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"time"
)

var target = regexp.MustCompile(`(?m)^func (Fuzz\w+)\(`)

func main() {
	each := flag.Duration("time", time.Minute, "for each target")
	only := flag.String("run", "", "only targets whose name contains this")
	flag.Parse()
	n := 0
	err := filepath.WalkDir(".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(name, "_test.go") {
			return err
		}
		text, err := os.ReadFile(name)
		for _, m := range target.FindAllStringSubmatch(string(text), -1) {
			if strings.Contains(m[1], *only) && err == nil {
				n++
				err = fuzz("./"+filepath.Dir(name), m[1], *each)
			}
		}
		return err
	})
	if err != nil {
		fmt.Fprintln(os.Stderr, "fuzz:", err)
		os.Exit(1)
	}
	fmt.Printf("targets=%d each=%s findings=0\n", n, *each)
}

func fuzz(dir, name string, each time.Duration) error {
	fmt.Println("fuzzing", dir, name)
	cmd := exec.Command("go", "test", "-run=^$", "-fuzz=^"+name+"$", "-fuzztime="+each.String(), dir)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s %s: %w", dir, name, err)
	}
	return nil
}
