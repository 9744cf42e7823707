package main

import (
	"os"

	"golang.org/x/term"
)

// terminalFile returns the terminal behind v, a reader or writer.
func terminalFile(v any) (*os.File, bool) {
	f, ok := v.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return nil, false
	}
	return f, true
}

// terminalWidth returns a function that measures w's terminal in columns; it
// gives 0 when w is none.
func terminalWidth(w any) func() int {
	f, ok := terminalFile(w)
	if !ok {
		return func() int { return 0 }
	}
	return func() int {
		width, _, err := term.GetSize(int(f.Fd()))
		if err != nil {
			return 0
		}
		return width
	}
}
