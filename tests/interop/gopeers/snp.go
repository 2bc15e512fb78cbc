// SPDX-License-Identifier: Apache-2.0
package main

import (
	"crypto/x509"
	"errors"
	"os"
	"path/filepath"
	"time"

	"github.com/google/go-sev-guest/abi"
	spb "github.com/google/go-sev-guest/proto/sevsnp"
	"github.com/google/go-sev-guest/validate"
	"github.com/google/go-sev-guest/verify"
	"github.com/google/go-sev-guest/verify/trust"
)

// anyPolicy leaves to the caller what the policy of CCZoo leaves to its user; what remains is whether report, TCB and
// certificate fit together.
var anyPolicy = validate.Options{
	GuestPolicy:               abi.SnpPolicy{SMT: true, MigrateMA: true, Debug: true, CXLAllowed: true},
	PermitProvisionalFirmware: true,
}

func readCert(dir, name string) (*x509.Certificate, error) {
	der, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		return nil, err
	}
	return x509.ParseCertificate(der)
}

// trustedRoots are the given ARK and ASK or ASVK, for the product line whose embedded ARK it is.
func trustedRoots(dir string, vlek bool) (map[string][]*trust.AMDRootCerts, error) {
	ark, err := readCert(dir, "ark.der")
	if err != nil {
		return nil, err
	}
	ca, err := readCert(dir, "ask.der")
	if err != nil {
		return nil, err
	}
	for line := range trust.DefaultRootCerts {
		known, err := trust.GetDefaultRootCerts(line)
		if err != nil {
			return nil, err
		}
		if !known.ProductCerts.Ark.Equal(ark) {
			continue
		}
		root := trust.AMDRootCertsProduct(line)
		root.ProductCerts = &trust.ProductCerts{Ark: ark, Ask: ca}
		if vlek {
			root.ProductCerts = &trust.ProductCerts{Ark: ark, Asvk: ca}
		}
		return map[string][]*trust.AMDRootCerts{line: {root}}, nil
	}
	return nil, errors.New("the ARK is none of the embedded ones")
}

func judgeSNP(evidence []byte, dir string, now time.Time) error {
	report, err := abi.ReportToProto(evidence)
	if err != nil {
		return err
	}
	info, err := abi.ParseSignerInfo(report.GetSignerInfo())
	if err != nil {
		return err
	}
	chain := &spb.CertificateChain{Extras: map[string][]byte{}}
	vlek := info.SigningKey == abi.VlekReportSigner
	if vlek {
		chain.VlekCert, err = os.ReadFile(filepath.Join(dir, "vlek.der"))
	} else {
		chain.VcekCert, err = os.ReadFile(filepath.Join(dir, "vcek.der"))
	}
	if err != nil {
		return err
	}
	roots, err := trustedRoots(dir, vlek)
	if err != nil {
		return err
	}
	attestation := &spb.Attestation{Report: report, CertificateChain: chain}
	options := &verify.Options{DisableCertFetching: true, Now: now, TrustedRoots: roots}
	if err := verify.SnpAttestation(attestation, options); err != nil {
		return err
	}
	policy := anyPolicy
	return validate.SnpAttestation(attestation, &policy)
}
