// SPDX-License-Identifier: Apache-2.0
package main

import (
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/google/go-tdx-guest/verify"
)

// folder answers go-tdx-guest's requests from files in place of Intel's PCS.
type folder string

func (dir folder) answer(body, chain, header string) (map[string][]string, []byte, error) {
	data, err := os.ReadFile(filepath.Join(string(dir), body))
	if err != nil || chain == "" {
		return nil, data, err
	}
	pem, err := os.ReadFile(filepath.Join(string(dir), chain))
	if err != nil {
		return nil, nil, err
	}
	return map[string][]string{header: {url.QueryEscape(string(pem))}}, data, nil
}

func (dir folder) Get(from string) (map[string][]string, []byte, error) {
	u, err := url.Parse(from)
	switch {
	case err != nil:
		return nil, nil, err
	case strings.HasSuffix(u.Path, "/tcb"):
		return dir.answer("tcb_info.json", "tcb_info_issuer_chain.pem", "Tcb-Info-Issuer-Chain")
	case strings.HasSuffix(u.Path, "/qe/identity"):
		return dir.answer("qe_identity.json", "qe_identity_issuer_chain.pem", "Sgx-Enclave-Identity-Issuer-Chain")
	case strings.HasSuffix(u.Path, "/pckcrl"):
		return dir.answer("pck_crl.der", "pck_crl_issuer_chain.pem", "Sgx-Pck-Crl-Issuer-Chain")
	case strings.HasSuffix(u.Path, ".der"), strings.HasSuffix(u.Path, ".crl"):
		return dir.answer("root_ca_crl.der", "", "")
	}
	return nil, nil, fmt.Errorf("nobody expected a request for %s", u.Path)
}

// judgeTDX verifies a quote with the documents in dir, or alone if dir is empty.
func judgeTDX(evidence []byte, dir string, now time.Time) error {
	options := &verify.Options{Now: now, Getter: folder(dir), GetCollateral: dir != "", CheckRevocations: dir != ""}
	return verify.RawTdxQuote(evidence, options)
}
