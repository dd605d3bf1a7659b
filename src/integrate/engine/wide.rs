//! One number of each frame of a group at a time: loops are written once, for plain Rust, AVX2 and AVX-512, and give the same bits.
//!
//! The compiler does not find this shape by itself where lanes are left out for not being numbers (profiles/notes/semantics.md). Each operation
//! here is one of IEEE 754, lane by lane, or gives its bits. A value can only be made by functions that ask for its
//! instructions, so having one is proof that they are there.

/// `L` numbers, one of each frame.
pub(super) trait Wide<const L: usize>: Copy {
    /// Yes or no for each.
    type Mask: Copy;

    /// The same number `L` times.
    ///
    /// # Safety
    /// The CPU has the type's instructions; so for the other two.
    unsafe fn splat(value: f64) -> Self;
    /// # Safety
    /// As [`Wide::splat`].
    unsafe fn load(values: &[f64; L]) -> Self;
    /// # Safety
    /// As [`Wide::splat`].
    unsafe fn widen(values: &[f32; L]) -> Self;

    fn store(self, to: &mut [f64; L]);
    fn plus(self, other: Self) -> Self;
    fn minus(self, other: Self) -> Self;
    fn times(self, other: Self) -> Self;
    fn over(self, other: Self) -> Self;
    /// This over `norm`, where both came from `f32`: the same bits as [`Wide::over`], sooner.
    fn over_float(self, norm: f64) -> Self;
    fn magnitude(self) -> Self;
    /// Where this is above the other; not where either is NaN.
    fn is_above(self, other: Self) -> Self::Mask;
    /// Where this is above the other or equal to it; not where either is NaN.
    fn is_from(self, other: Self) -> Self::Mask;
    /// Where this is not NaN.
    fn is_number(self) -> Self::Mask;
    /// 0 where not.
    fn only(self, mask: Self::Mask) -> Self;
    /// The other number where so.
    fn replaced(self, mask: Self::Mask, other: Self) -> Self;
    fn and(one: Self::Mask, other: Self::Mask) -> Self::Mask;
    fn or(one: Self::Mask, other: Self::Mask) -> Self::Mask;
    /// The first, but not where the other is.
    fn but(one: Self::Mask, other: Self::Mask) -> Self::Mask;
    /// A bit for each, the first one lowest.
    fn bits(mask: Self::Mask) -> u32;
}

/// Numbers of `L` frames as they lie in memory.
pub(super) trait Lanes<const L: usize> {
    /// # Safety
    /// As [`Wide::splat`].
    unsafe fn wide<W: Wide<L>>(&self) -> W;
}

impl<const L: usize> Lanes<L> for [f32; L] {
    #[inline(always)]
    unsafe fn wide<W: Wide<L>>(&self) -> W {
        // SAFETY: the caller's.
        unsafe { W::widen(self) }
    }
}

impl<const L: usize> Lanes<L> for [f64; L] {
    #[inline(always)]
    unsafe fn wide<W: Wide<L>>(&self) -> W {
        // SAFETY: the caller's.
        unsafe { W::load(self) }
    }
}

/// In plain Rust; what the others must do.
#[derive(Debug, Clone, Copy)]
pub(super) struct PlainLanes<const L: usize>([f64; L]);

impl<const L: usize> PlainLanes<L> {
    #[inline(always)]
    fn pair(self, other: Self, of: impl Fn(f64, f64) -> f64) -> Self {
        PlainLanes(std::array::from_fn(|l| of(self.0[l], other.0[l])))
    }
}

impl<const L: usize> Wide<L> for PlainLanes<L> {
    type Mask = [bool; L];

    #[inline(always)]
    unsafe fn splat(value: f64) -> Self {
        PlainLanes([value; L])
    }

    #[inline(always)]
    unsafe fn load(values: &[f64; L]) -> Self {
        PlainLanes(*values)
    }

    #[inline(always)]
    unsafe fn widen(values: &[f32; L]) -> Self {
        PlainLanes(values.map(f64::from))
    }

    #[inline(always)]
    fn store(self, to: &mut [f64; L]) {
        *to = self.0;
    }

    #[inline(always)]
    fn plus(self, other: Self) -> Self {
        self.pair(other, |a, b| a + b)
    }

    #[inline(always)]
    fn minus(self, other: Self) -> Self {
        self.pair(other, |a, b| a - b)
    }

    #[inline(always)]
    fn times(self, other: Self) -> Self {
        self.pair(other, |a, b| a * b)
    }

    #[inline(always)]
    fn over(self, other: Self) -> Self {
        self.pair(other, |a, b| a / b)
    }

    #[inline(always)]
    fn over_float(self, norm: f64) -> Self {
        PlainLanes(self.0.map(|value| value / norm))
    }

    #[inline(always)]
    fn magnitude(self) -> Self {
        PlainLanes(self.0.map(f64::abs))
    }

    #[inline(always)]
    fn is_above(self, other: Self) -> [bool; L] {
        std::array::from_fn(|l| self.0[l] > other.0[l])
    }

    #[inline(always)]
    fn is_from(self, other: Self) -> [bool; L] {
        std::array::from_fn(|l| self.0[l] >= other.0[l])
    }

    #[inline(always)]
    fn is_number(self) -> [bool; L] {
        self.0.map(|value| !value.is_nan())
    }

    #[inline(always)]
    fn only(self, mask: [bool; L]) -> Self {
        PlainLanes(std::array::from_fn(|l| if mask[l] { self.0[l] } else { 0.0 }))
    }

    #[inline(always)]
    fn replaced(self, mask: [bool; L], other: Self) -> Self {
        PlainLanes(std::array::from_fn(|l| if mask[l] { other.0[l] } else { self.0[l] }))
    }

    #[inline(always)]
    fn and(one: [bool; L], other: [bool; L]) -> [bool; L] {
        std::array::from_fn(|l| one[l] & other[l])
    }

    #[inline(always)]
    fn or(one: [bool; L], other: [bool; L]) -> [bool; L] {
        std::array::from_fn(|l| one[l] | other[l])
    }

    #[inline(always)]
    fn but(one: [bool; L], other: [bool; L]) -> [bool; L] {
        std::array::from_fn(|l| one[l] & !other[l])
    }

    #[inline(always)]
    fn bits(mask: [bool; L]) -> u32 {
        mask.iter().rev().fold(0, |bits, is_set| bits << 1 | u32::from(*is_set))
    }
}

#[cfg(target_arch = "x86_64")]
pub(super) use x86::{Avx2, Avx512};

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::*;

    use super::Wide;

    /// Eight numbers in two registers.
    #[derive(Clone, Copy)]
    pub(in super::super) struct Avx2(__m256d, __m256d);

    /// Eight numbers in one register.
    #[derive(Clone, Copy)]
    pub(in super::super) struct Avx512(__m512d);

    /// Functions of a type whose instructions are there, because values of it are.
    macro_rules! halves {
        ($($name:ident = $intrinsic:ident),+) => {$(
            #[inline(always)]
            fn $name(self, other: Self) -> Self {
                // SAFETY: whoever made the values has AVX2.
                unsafe { Avx2($intrinsic(self.0, other.0), $intrinsic(self.1, other.1)) }
            }
        )+};
    }

    impl Wide<8> for Avx2 {
        type Mask = (__m256d, __m256d);

        halves!(plus = _mm256_add_pd, minus = _mm256_sub_pd, times = _mm256_mul_pd, over = _mm256_div_pd);

        #[inline(always)]
        unsafe fn splat(value: f64) -> Self {
            // SAFETY: the caller has AVX2.
            let all = unsafe { _mm256_set1_pd(value) };
            Avx2(all, all)
        }

        #[inline(always)]
        unsafe fn load(values: &[f64; 8]) -> Self {
            // SAFETY: the caller has AVX2; both halves are within the array.
            unsafe { Avx2(_mm256_loadu_pd(values.as_ptr()), _mm256_loadu_pd(values.as_ptr().add(4))) }
        }

        #[inline(always)]
        unsafe fn widen(values: &[f32; 8]) -> Self {
            // SAFETY: the caller has AVX2; both halves are within the array.
            unsafe {
                let [low, high] = [values.as_ptr(), values.as_ptr().add(4)];
                Avx2(_mm256_cvtps_pd(_mm_loadu_ps(low)), _mm256_cvtps_pd(_mm_loadu_ps(high)))
            }
        }

        #[inline(always)]
        fn store(self, to: &mut [f64; 8]) {
            // SAFETY: whoever made the value has AVX2; both halves are within the array.
            unsafe {
                _mm256_storeu_pd(to.as_mut_ptr(), self.0);
                _mm256_storeu_pd(to.as_mut_ptr().add(4), self.1);
            }
        }

        // As with AVX-512, below.
        #[inline(always)]
        fn over_float(self, norm: f64) -> Self {
            // SAFETY: whoever made the value has AVX2, and FMA with it.
            unsafe {
                let (inverse, norm) = (_mm256_set1_pd(1.0 / norm), _mm256_set1_pd(norm));
                let half = |value| {
                    let near = _mm256_mul_pd(value, inverse);
                    let rest = _mm256_fnmadd_pd(near, norm, value);
                    let exact = _mm256_fmadd_pd(rest, inverse, near);
                    _mm256_blendv_pd(near, exact, _mm256_cmp_pd::<_CMP_ORD_Q>(rest, rest))
                };
                Avx2(half(self.0), half(self.1))
            }
        }

        #[inline(always)]
        fn magnitude(self) -> Self {
            // SAFETY: whoever made the value has AVX2.
            unsafe {
                let sign = _mm256_set1_pd(-0.0);
                Avx2(_mm256_andnot_pd(sign, self.0), _mm256_andnot_pd(sign, self.1))
            }
        }

        #[inline(always)]
        fn is_above(self, other: Self) -> Self::Mask {
            // SAFETY: whoever made the values has AVX2.
            unsafe {
                (_mm256_cmp_pd::<_CMP_GT_OQ>(self.0, other.0), _mm256_cmp_pd::<_CMP_GT_OQ>(self.1, other.1))
            }
        }

        #[inline(always)]
        fn is_from(self, other: Self) -> Self::Mask {
            // SAFETY: whoever made the values has AVX2.
            unsafe {
                (_mm256_cmp_pd::<_CMP_GE_OQ>(self.0, other.0), _mm256_cmp_pd::<_CMP_GE_OQ>(self.1, other.1))
            }
        }

        #[inline(always)]
        fn is_number(self) -> Self::Mask {
            // SAFETY: whoever made the value has AVX2.
            unsafe {
                (_mm256_cmp_pd::<_CMP_ORD_Q>(self.0, self.0), _mm256_cmp_pd::<_CMP_ORD_Q>(self.1, self.1))
            }
        }

        #[inline(always)]
        fn only(self, mask: Self::Mask) -> Self {
            // SAFETY: whoever made the value has AVX2.
            unsafe { Avx2(_mm256_and_pd(self.0, mask.0), _mm256_and_pd(self.1, mask.1)) }
        }

        #[inline(always)]
        fn replaced(self, mask: Self::Mask, other: Self) -> Self {
            // SAFETY: whoever made the values has AVX2.
            unsafe {
                Avx2(_mm256_blendv_pd(self.0, other.0, mask.0), _mm256_blendv_pd(self.1, other.1, mask.1))
            }
        }

        #[inline(always)]
        fn and(one: Self::Mask, other: Self::Mask) -> Self::Mask {
            // SAFETY: whoever made the masks has AVX2.
            unsafe { (_mm256_and_pd(one.0, other.0), _mm256_and_pd(one.1, other.1)) }
        }

        #[inline(always)]
        fn or(one: Self::Mask, other: Self::Mask) -> Self::Mask {
            // SAFETY: whoever made the masks has AVX2.
            unsafe { (_mm256_or_pd(one.0, other.0), _mm256_or_pd(one.1, other.1)) }
        }

        #[inline(always)]
        fn but(one: Self::Mask, other: Self::Mask) -> Self::Mask {
            // SAFETY: whoever made the masks has AVX2.
            unsafe { (_mm256_andnot_pd(other.0, one.0), _mm256_andnot_pd(other.1, one.1)) }
        }

        #[inline(always)]
        fn bits(mask: Self::Mask) -> u32 {
            // SAFETY: whoever made the mask has AVX2.
            unsafe { (_mm256_movemask_pd(mask.0) | _mm256_movemask_pd(mask.1) << 4) as u32 }
        }
    }

    macro_rules! whole {
        ($($name:ident = $intrinsic:ident),+) => {$(
            #[inline(always)]
            fn $name(self, other: Self) -> Self {
                // SAFETY: whoever made the values has AVX-512.
                unsafe { Avx512($intrinsic(self.0, other.0)) }
            }
        )+};
    }

    impl Wide<8> for Avx512 {
        type Mask = __mmask8;

        whole!(plus = _mm512_add_pd, minus = _mm512_sub_pd, times = _mm512_mul_pd, over = _mm512_div_pd);

        #[inline(always)]
        unsafe fn splat(value: f64) -> Self {
            // SAFETY: the caller has AVX-512.
            unsafe { Avx512(_mm512_set1_pd(value)) }
        }

        #[inline(always)]
        unsafe fn load(values: &[f64; 8]) -> Self {
            // SAFETY: the caller has AVX-512.
            unsafe { Avx512(_mm512_loadu_pd(values.as_ptr())) }
        }

        #[inline(always)]
        unsafe fn widen(values: &[f32; 8]) -> Self {
            // SAFETY: the caller has AVX-512.
            unsafe { Avx512(_mm512_cvtps_pd(_mm256_loadu_ps(values.as_ptr()))) }
        }

        #[inline(always)]
        fn store(self, to: &mut [f64; 8]) {
            // SAFETY: whoever made the value has AVX-512.
            unsafe { _mm512_storeu_pd(to.as_mut_ptr(), self.0) }
        }

        // An estimate, what it leaves of the value, and a correction. The remainder is exact. A quotient of two numbers of 24 bits is at least 2⁻²⁵ of
        // its last digit away from where rounding changes, the corrected one 2⁻⁵⁰ from the quotient: so rounding finds what a division
        // finds. Infinity leaves no number.
        #[inline(always)]
        fn over_float(self, norm: f64) -> Self {
            // SAFETY: whoever made the value has AVX-512.
            unsafe {
                let (inverse, norm) = (_mm512_set1_pd(1.0 / norm), _mm512_set1_pd(norm));
                let near = _mm512_mul_pd(self.0, inverse);
                let rest = _mm512_fnmadd_pd(near, norm, self.0);
                let is_number = _mm512_cmp_pd_mask::<_CMP_ORD_Q>(rest, rest);
                Avx512(_mm512_mask_mov_pd(near, is_number, _mm512_fmadd_pd(rest, inverse, near)))
            }
        }

        #[inline(always)]
        fn magnitude(self) -> Self {
            // SAFETY: whoever made the value has AVX-512.
            unsafe { Avx512(_mm512_abs_pd(self.0)) }
        }

        #[inline(always)]
        fn is_above(self, other: Self) -> __mmask8 {
            // SAFETY: whoever made the values has AVX-512.
            unsafe { _mm512_cmp_pd_mask::<_CMP_GT_OQ>(self.0, other.0) }
        }

        #[inline(always)]
        fn is_from(self, other: Self) -> __mmask8 {
            // SAFETY: whoever made the values has AVX-512.
            unsafe { _mm512_cmp_pd_mask::<_CMP_GE_OQ>(self.0, other.0) }
        }

        #[inline(always)]
        fn is_number(self) -> __mmask8 {
            // SAFETY: whoever made the value has AVX-512.
            unsafe { _mm512_cmp_pd_mask::<_CMP_ORD_Q>(self.0, self.0) }
        }

        #[inline(always)]
        fn only(self, mask: __mmask8) -> Self {
            // SAFETY: whoever made the value has AVX-512.
            unsafe { Avx512(_mm512_maskz_mov_pd(mask, self.0)) }
        }

        #[inline(always)]
        fn replaced(self, mask: __mmask8, other: Self) -> Self {
            // SAFETY: whoever made the values has AVX-512.
            unsafe { Avx512(_mm512_mask_mov_pd(self.0, mask, other.0)) }
        }

        #[inline(always)]
        fn and(one: __mmask8, other: __mmask8) -> __mmask8 {
            one & other
        }

        #[inline(always)]
        fn or(one: __mmask8, other: __mmask8) -> __mmask8 {
            one | other
        }

        #[inline(always)]
        fn but(one: __mmask8, other: __mmask8) -> __mmask8 {
            one & !other
        }

        #[inline(always)]
        fn bits(mask: __mmask8) -> u32 {
            u32::from(mask)
        }
    }
}
