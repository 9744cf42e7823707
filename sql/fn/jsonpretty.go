package fn

// jsonPrettyWriter writes JSON over many lines, indented.
type jsonPrettyWriter struct {
	jsonWriter
	indent string
	level  int
}

// line begins a line.
func (w *jsonPrettyWriter) line() {
	w.b = append(w.b, '\n')
	for i := 0; i < w.level && w.fault == 0; i++ {
		w.raw(w.indent)
		w.check()
	}
}

// pretty writes the element at i of d and returns the offset after it.
func (w *jsonPrettyWriter) pretty(d *jsonDoc, i int) int {
	head, size := d.header(i)
	if size == 0 || d.kind(i) != jsonArray && d.kind(i) != jsonObject {
		return w.element(d, i)
	}
	k := d.kind(i)
	open, shut := byte('['), byte(']')
	if k == jsonObject {
		open, shut = '{', '}'
	}
	w.b = append(w.b, open)
	w.level++
	if w.level >= jsonDepthMax {
		w.fault |= faultDeep
	}
	if k == jsonObject {
		d.depth = uint16(w.level)
	}
	j, end := i+head, i+head+size
	for first := true; w.fault == 0 && (first || j < end); first = false {
		if !first {
			w.b = append(w.b, ',')
		}
		w.line()
		if k == jsonObject {
			if j = w.element(d, j); j > end {
				w.fault |= faultMalformed
				break
			}
			w.raw(": ")
		}
		j = w.pretty(d, j)
		if j > end && k == jsonArray {
			w.fault |= faultMalformed
		}
	}
	w.level--
	w.line()
	w.b = append(w.b, shut)
	return end
}
