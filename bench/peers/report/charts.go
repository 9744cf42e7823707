package report

import (
	"errors"
	"image/color"
	"math"
	"os"
	"path/filepath"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgsvg"

	"github.com/byokdb/byokdb/bench/peers/work"
)

// A Chart is a file that was drawn.
type Chart struct{ Title, File string }

var (
	oursColor  = color.RGBA{R: 0x1f, G: 0x6f, B: 0xb4, A: 0xff}
	theirColor = color.RGBA{R: 0xb8, G: 0xbf, B: 0xc6, A: 0xff}
	rangeColor = color.RGBA{R: 0x33, G: 0x33, B: 0x33, A: 0xff}
	palette    = []color.RGBA{oursColor, {R: 0xd9, G: 0x6c, B: 0x1e, A: 0xff}, {R: 0x3a, G: 0x8f, B: 0x4d, A: 0xff}, {R: 0x8a, G: 0x4f, B: 0x9e, A: 0xff}}
)

func (r *Results) charts(dir string) ([]Chart, error) {
	plot.DefaultFont = font.Font{Typeface: "Liberation", Variant: "Sans"}
	var drawn []Chart
	for _, works := range [][]column{kvWorks, sqlWorks} {
		for _, c := range works {
			if c.name == work.SyncPlain || c.name == work.SyncWritten || c.name == work.ColdPread {
				continue // of the disk, not of an engine
			}
			ok, err := r.bars(dir, c)
			if err != nil {
				return nil, err
			}
			if ok {
				drawn = append(drawn, Chart{c.title, c.name + ".svg"})
			}
		}
	}
	for _, c := range growthWorks {
		ok, err := r.curves(dir, c)
		if err != nil {
			return nil, err
		}
		if ok {
			drawn = append(drawn, Chart{c.title + ", by rows", c.name + ".svg"})
		}
	}
	return drawn, nil
}

// scale returns a unit in which a value has few digits.
func scale(u unit, most float64) (by float64, name string) {
	switch {
	case u == bytesPerRow:
		return 1, "bytes per row"
	case u == sizeBytes:
		return 1 << 20, "MiB"
	case most < 10e3:
		return 1, "ns"
	case most < 10e6:
		return 1e3, "µs"
	default:
		return 1e6, "ms"
	}
}

// bars draws a work, a bar for each engine. It reports false for none.
func (r *Results) bars(dir string, c column) (bool, error) {
	engines := r.engines([]column{c})
	if len(engines) == 0 {
		return false, nil
	}
	most := 0.0
	for _, e := range engines {
		_, hi := r.sample(e, c.name).Range()
		most = math.Max(most, hi)
	}
	by, name := scale(unitOf(c.name), most)
	p := plot.New()
	p.Title.Text, p.X.Label.Text, p.X.Min = c.title, name, 0
	p.Title.Padding = vg.Points(8)
	labels := make([]string, len(engines))
	for i, e := range engines {
		at := len(engines) - 1 - i // the first on top
		labels[at] = e
		s := r.sample(e, c.name)
		bar, err := plotter.NewBarChart(plotter.Values{s.Median() / by}, vg.Points(14))
		if err != nil {
			return false, err
		}
		bar.Horizontal, bar.XMin, bar.LineStyle.Width, bar.Color = true, float64(at), 0, theirColor
		if e == ours {
			bar.Color = oursColor
		}
		lo, hi := s.Range()
		line, err := plotter.NewLine(plotter.XYs{{X: lo / by, Y: float64(at)}, {X: hi / by, Y: float64(at)}})
		if err != nil {
			return false, err
		}
		line.Color, line.Width = rangeColor, vg.Points(1.5)
		p.Add(bar, line)
	}
	p.NominalY(labels...)
	return true, save(p, vg.Points(30*float64(len(engines))+70), filepath.Join(dir, c.name+".svg"))
}

// curves draws a work by the number of rows.
func (r *Results) curves(dir string, c column) (bool, error) {
	engines, sizes := r.engines([]column{c}), r.sizes([]column{c})
	if len(engines) == 0 || len(sizes) < 2 {
		return false, nil
	}
	most := 0.0
	for _, e := range engines {
		_, hi := r.sample(e, c.name).Range()
		most = math.Max(most, hi)
	}
	by, name := scale(unitOf(c.name), most)
	p := plot.New()
	p.Title.Text, p.X.Label.Text, p.Y.Label.Text, p.Y.Min = c.title, "rows", name, 0
	p.X.Scale, p.X.Tick.Marker = plot.LogScale{}, plot.LogTicks{Prec: -1}
	p.Legend.Top, p.Legend.Left = true, true
	for i, e := range engines {
		var points plotter.XYs
		for _, n := range sizes {
			if v := r.pick(e, c.name, n, func(f *work.Figure) float64 { return f.Value }).Median(); !math.IsNaN(v) {
				points = append(points, plotter.XY{X: float64(n), Y: v / by})
			}
		}
		line, dots, err := plotter.NewLinePoints(points)
		if err != nil {
			return false, err
		}
		line.Color, line.Width, dots.Color, dots.Shape = palette[i%len(palette)], vg.Points(1.5), palette[i%len(palette)], draw.CircleGlyph{}
		p.Add(line, dots)
		p.Legend.Add(e, line, dots)
	}
	return true, save(p, vg.Points(260), filepath.Join(dir, c.name+".svg"))
}

func save(p *plot.Plot, height vg.Length, path string) error {
	canvas := vgsvg.New(vg.Points(540), height)
	const margin = 12
	p.Draw(draw.Crop(draw.New(canvas), margin, -margin, margin, -margin))
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	_, err = canvas.WriteTo(f)
	return errors.Join(err, f.Close())
}
