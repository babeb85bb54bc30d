package engine

import (
	"errors"
	"fmt"
)

// Unauthorized is the error of a request without a usable credential. Its text is
// the one word that API Gateway turns into a 401; the reason is for the log.
type Unauthorized struct {
	// Code is a stable word for the reason, such as "token_expired".
	Code string
	// Detail explains it to an operator. It has no secret in it.
	Detail string
}

// Error returns "Unauthorized" and nothing else: API Gateway compares the text.
func (e *Unauthorized) Error() string { return "Unauthorized" }

// Trouble is the error of a request whose answer is not known. API Gateway answers
// 500 and does not cache it.
type Trouble struct {
	// Code is a stable word for the stage that failed, such as "store".
	Code string
	// Err is the cause. It has no secret in it.
	Err error
}

// Error returns the code and the cause.
func (e *Trouble) Error() string { return fmt.Sprintf("%s: %v", e.Code, e.Err) }

// Unwrap returns the cause.
func (e *Trouble) Unwrap() error { return e.Err }

// Troublef builds a Trouble; the format is as in fmt.Errorf.
func Troublef(code, format string, args ...any) *Trouble {
	return &Trouble{Code: code, Err: fmt.Errorf(format, args...)}
}

// denial is a decided no on the way to a Decision: the stages before the rules
// return it as an error so that the pipeline reads straight.
type denial struct {
	code     string
	detail   string
	wholeKey bool
}

func (d *denial) Error() string { return d.code + ": " + d.detail }

// asTrouble makes an error that no stage has classified a Trouble.
func asTrouble(code string, err error) error {
	var unauthorized *Unauthorized
	var trouble *Trouble
	if err == nil || errors.As(err, &unauthorized) || errors.As(err, &trouble) {
		return err
	}
	return &Trouble{Code: code, Err: err}
}
