// SPDX-License-Identifier: Apache-2.0

// Gopeers asks Google's go-sev-guest and go-tdx-guest for their verdicts on evidence, without a network.
//
// usage: gopeers ANSWERS <JOBS
//
// Each line of standard input is a job, and is answered by one line of the file ANSWERS (the libraries log to
// standard output):
//
//	{"evidence": "FILE", "collateral": "DIR", "time": SECONDS}
//	{"accepted": true} or {"accepted": false, "error": "..."}
//
// What is in the folder decides: ark.der (AMD's, of whatever form), or documents of Intel's PCS. Without a folder a
// TDX quote is verified alone.
package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"
)

type job struct {
	Evidence   string `json:"evidence"`
	Collateral string `json:"collateral"`
	Time       int64  `json:"time"`
}

type verdict struct {
	Accepted bool   `json:"accepted"`
	Error    string `json:"error,omitempty"`
}

// judge turns a panic into a refusal of its own text, which no exception names.
func judge(j *job) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v", p)
		}
	}()
	evidence, err := os.ReadFile(j.Evidence)
	if err != nil {
		return err
	}
	now := time.Unix(j.Time, 0).UTC()
	if j.Collateral == "" {
		return judgeTDX(evidence, "", now)
	}
	if _, err := os.Stat(filepath.Join(j.Collateral, "ark.der")); err == nil {
		return judgeSNP(evidence, j.Collateral, now)
	}
	return judgeTDX(evidence, j.Collateral, now)
}

func run(answers string) error {
	file, err := os.Create(answers)
	if err != nil {
		return err
	}
	in, out := json.NewDecoder(bufio.NewReader(os.Stdin)), json.NewEncoder(file)
	for {
		var j job
		if err := in.Decode(&j); errors.Is(err, io.EOF) {
			return file.Close()
		} else if err != nil {
			return err
		}
		v := verdict{Accepted: true}
		if err := judge(&j); err != nil {
			v = verdict{Error: err.Error()}
		}
		if err := out.Encode(v); err != nil {
			return err
		}
	}
}

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: gopeers ANSWERS <JOBS")
		os.Exit(2)
	}
	if err := run(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
