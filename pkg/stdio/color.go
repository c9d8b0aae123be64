package stdio

import "fmt"

// ColorMode says when colour is used (--color).
type ColorMode string

// Modes of colour. Auto means on a terminal, unless NO_COLOR, TERM=dumb or CI is set.
const (
	ColorAuto   ColorMode = "auto"
	ColorAlways ColorMode = "always"
	ColorNever  ColorMode = "never"
)

// Color is what a text means; the terminal's theme decides how it looks.
type Color string

// Colours by meaning, as SGR parameters (ECMA-48 8.3.117).
const (
	Good  Color = "32"
	Warn  Color = "33"
	Bad   Color = "31"
	Faint Color = "2"
	Bold  Color = "1"
)

// SetColor sets the mode; anything but auto, always or never is an error.
func (s *Streams) SetColor(mode ColorMode) error {
	switch mode {
	case ColorAuto, ColorAlways, ColorNever:
		s.color = mode
		return nil
	}
	return fmt.Errorf("color %q: want auto, always or never", string(mode))
}

// ColorOut reports whether Out takes colour.
func (s *Streams) ColorOut() bool { return s.colored(s.OutTTY) }

// ColorErr reports whether Err takes colour.
func (s *Streams) ColorErr() bool { return s.colored(s.ErrTTY) }

// Paint colours text for Out, or leaves it alone where Out takes no colour.
func (s *Streams) Paint(c Color, text string) string { return paint(s.ColorOut(), c, text) }

// PaintErr colours text for Err, or leaves it alone where Err takes no colour.
func (s *Streams) PaintErr(c Color, text string) string { return paint(s.ColorErr(), c, text) }

func (s *Streams) colored(tty bool) bool {
	switch s.color {
	case ColorAlways:
		return true
	case ColorNever:
		return false
	}
	return tty && !s.plain
}

func paint(on bool, c Color, text string) string {
	if !on || c == "" || text == "" {
		return text
	}
	return "\x1b[" + string(c) + "m" + text + "\x1b[0m"
}
