package kmsapi

import (
	"context"
	"slices"
	"strings"

	"kmsfs/kms"
)

func rotateKeyOnDemand(ctx context.Context, s *kms.Service, in *keyRequest) (*keyIDAnswer, error) {
	m, err := s.RotateKeyOnDemand(ctx, *in.KeyId)
	if err != nil {
		return nil, err
	}
	return &keyIDAnswer{m.ARN}, nil
}

type enableRotationRequest struct {
	KeyId                *string
	RotationPeriodInDays *int64
}

func (r *enableRotationRequest) check(v *violations) {
	v.required("keyId", r.KeyId != nil)
	v.between("rotationPeriodInDays", r.RotationPeriodInDays, 90, 2560)
}

func enableKeyRotation(ctx context.Context, s *kms.Service, in *enableRotationRequest) (*nothing, error) {
	return nil, s.EnableKeyRotation(ctx, *in.KeyId, number(in.RotationPeriodInDays))
}

func disableKeyRotation(ctx context.Context, s *kms.Service, in *keyRequest) (*nothing, error) {
	return nil, s.DisableKeyRotation(ctx, *in.KeyId)
}

type rotationStatusAnswer struct {
	KeyId                string
	KeyRotationEnabled   bool
	NextRotationDate     *timestamp `json:",omitempty"`
	RotationPeriodInDays int        `json:",omitempty"`
}

func getKeyRotationStatus(ctx context.Context, s *kms.Service, in *keyRequest) (*rotationStatusAnswer, error) {
	st, err := s.GetKeyRotationStatus(ctx, *in.KeyId)
	if err != nil {
		return nil, err
	}
	return &rotationStatusAnswer{KeyId: *in.KeyId, KeyRotationEnabled: st.Enabled, NextRotationDate: at(st.Next), RotationPeriodInDays: st.PeriodDays}, nil
}

const allMaterial = "ALL_KEY_MATERIAL"

type listRotationsRequest struct {
	KeyId, IncludeKeyMaterial *string
	page
}

func (r *listRotationsRequest) check(v *violations) {
	v.required("keyId", r.KeyId != nil)
	v.oneOf("includeKeyMaterial", r.IncludeKeyMaterial, []string{allMaterial, "ROTATIONS_ONLY"})
	r.page.check(v, kms.MaxKeysPage)
}

type rotation struct {
	KeyId            string
	KeyMaterialId    string
	KeyMaterialState string
	RotationDate     *timestamp `json:",omitempty"`
	RotationType     string     `json:",omitempty"`
}

type listRotationsAnswer struct {
	Rotations []rotation
	next
}

// listKeyRotations lists rotations, oldest first. The material that the key was made with is listed only when it is asked for; it
// has neither date nor type.
func listKeyRotations(ctx context.Context, s *kms.Service, in *listRotationsRequest) (*listRotationsAnswer, error) {
	after, err := in.after("rotation")
	if err != nil {
		return nil, err
	}
	all, err := s.ListKeyRotations(ctx, *in.KeyId)
	if err != nil {
		return nil, err
	}
	if text(in.IncludeKeyMaterial) != allMaterial {
		all = slices.DeleteFunc(all, func(r kms.Rotation) bool { return r.Date.IsZero() })
	}
	if after != "" {
		all = all[slices.IndexFunc(all, func(r kms.Rotation) bool { return r.MaterialID == after })+1:]
	}
	limit, last := number(in.Limit), ""
	if limit == 0 {
		limit = kms.DefaultKeysPage
	}
	if len(all) > limit {
		all, last = all[:limit], all[limit-1].MaterialID
	}
	out := &listRotationsAnswer{Rotations: make([]rotation, len(all)), next: nextPage("rotation", last)}
	for i, r := range all {
		out.Rotations[i] = rotationOf(*in.KeyId, r)
	}
	return out, nil
}

func rotationOf(keyID string, r kms.Rotation) rotation {
	out := rotation{KeyId: keyID[strings.LastIndexByte(keyID, '/')+1:], KeyMaterialId: r.MaterialID, KeyMaterialState: "NON_CURRENT", RotationDate: at(r.Date), RotationType: r.Type}
	if r.Current {
		out.KeyMaterialState = "CURRENT"
	}
	return out
}
