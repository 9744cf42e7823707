package engine

import "testing"

// TestWipeBuffer leaves nothing in a buffer and its room, wherever the buffer is:
// in the room, in memory of its own of any size, nowhere.
func TestWipeBuffer(t *testing.T) {
	for name, move := range map[string]func(room []byte) []byte{
		"room":     func(room []byte) []byte { return room[:3] },
		"empty":    func(room []byte) []byte { return room[:0] },
		"same":     func(room []byte) []byte { return make([]byte, 1, len(room)) },
		"larger":   func(room []byte) []byte { return make([]byte, 2*len(room)) },
		"given up": func([]byte) []byte { return nil },
	} {
		var room [64]byte
		buf := move(room[:])
		for _, b := range [][]byte{room[:], buf[:cap(buf)]} {
			for i := range b {
				b[i] = 0xa5
			}
		}
		wipeBuffer(buf, room[:])
		for _, b := range [][]byte{room[:], buf[:cap(buf)]} {
			for i := range b {
				if b[i] != 0 {
					t.Fatalf("%s: byte %d of %d is left", name, i, len(b))
				}
			}
		}
	}
}
