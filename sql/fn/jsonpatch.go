package fn

// mergePatch changes the element at i by the one at j of patch, as RFC 7396
// says. An object is searched, and moved, for every pair of the patch.
func (d *jsonDoc) mergePatch(c *Context, i int, patch *jsonDoc, j, depth int) error {
	head, size := d.header(i)
	patchHead, patchSize := patch.header(j)
	next, last := j+patchHead, j+patchHead+patchSize
	if patch.kind(j) != jsonObject {
		d.replace(i, head+size, patch.b[j:last])
		return nil
	}
	start, end := i+head, i+head+size // end before d.delta
	if d.kind(i) != jsonObject {
		d.replace(start, size, nil) // growAround puts the size right
		d.b[i] = d.b[i]&0xf0 | byte(jsonObject)
	}
	for next < last {
		p, ok := patch.pair(next, last)
		if !ok {
			return errJSON
		}
		next = p.next
		t, found, err := d.same(start, end+d.delta, patch, &p)
		if err == nil {
			err = d.mergePair(c, t, found, patch, &p, depth)
		}
		if err == nil {
			err = c.spent(t.next - start + len(d.b)/8) // searched, and moved
		}
		if err != nil {
			return err
		}
	}
	if d.delta != 0 {
		d.growAround(i)
	}
	return nil
}

// jsonPair is where a label, its value and what follows are.
type jsonPair struct{ label, value, next int }

// pair reads the pair at i of an object that ends at end.
func (d *jsonDoc) pair(i, end int) (p jsonPair, ok bool) {
	head, size := d.header(i)
	p = jsonPair{label: i, value: i + head + size}
	if !d.kind(i).isText() || head == 0 || p.value >= end {
		return p, false
	}
	head, size = d.header(p.value)
	p.next = p.value + head + size
	return p, head > 0 && p.next <= end
}

// labelOf returns the text of the label of a pair, and whether it has no escapes.
func (d *jsonDoc) labelOf(p *jsonPair) (text []byte, raw bool) {
	head, size := d.header(p.label)
	return d.content(p.label, head, size), d.kind(p.label).escapeFree()
}

// same finds the pair between i and end with the label of p in patch. If there
// is none it returns one at the end.
func (d *jsonDoc) same(i, end int, patch *jsonDoc, p *jsonPair) (t jsonPair, found bool, err error) {
	label, raw := patch.labelOf(p)
	for i < end {
		t, ok := d.pair(i, end)
		if !ok {
			return t, false, errJSON
		}
		if text, rawText := d.labelOf(&t); sameLabel(label, raw, text, rawText) {
			return t, true, nil
		}
		i = t.next
	}
	return jsonPair{label: end, value: end, next: end}, false, nil
}

// mergePair changes t, the pair with the label of p, or adds p where t is.
func (d *jsonDoc) mergePair(c *Context, t jsonPair, found bool, patch *jsonDoc, p *jsonPair, depth int) error {
	kind := patch.kind(p.value)
	switch {
	case found && kind == jsonNull:
		d.replace(t.label, t.next-t.label, nil)
		return nil
	case kind == jsonNull:
		return nil
	case !found && kind != jsonObject:
		d.replace(t.label, 0, patch.b[p.label:p.next])
		return nil
	case !found:
		ins := append([]byte(nil), patch.b[p.label:p.value]...)
		d.replace(t.label, 0, append(ins, byte(jsonNull)))
		t.value = t.label + len(ins)
	}
	if depth >= jsonDepthMax {
		return errJSONDeep
	}
	delta := d.delta
	d.delta = 0
	err := d.mergePatch(c, t.value, patch, p.value, depth+1)
	d.delta += delta
	return err
}
