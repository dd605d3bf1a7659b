//! Which instructions the fast twins of this floor use: asked for once, named in tests and benches.

/// Instructions that a fast twin works with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Simd {
    /// One value at a time; any CPU.
    Scalar,
    /// 8 values of 32 bits at a time; needs FMA, BMI1 and POPCNT, too (Haswell, Zen and later).
    Avx2,
    /// 16 values of 32 bits at a time; needs F, BW, VL and VNNI (Cascade Lake, Zen 4 and later).
    Avx512,
}

impl Simd {
    /// Every set of instructions, slowest first.
    pub const ALL: [Simd; 3] = [Simd::Scalar, Simd::Avx2, Simd::Avx512];

    /// Whether this CPU has them.
    pub fn is_available(self) -> bool {
        match self {
            Simd::Scalar => true,
            #[cfg(target_arch = "x86_64")]
            Simd::Avx2 => {
                is_x86_feature_detected!("avx2")
                    && is_x86_feature_detected!("fma")
                    && is_x86_feature_detected!("bmi1")
                    && is_x86_feature_detected!("popcnt")
            }
            #[cfg(target_arch = "x86_64")]
            Simd::Avx512 => {
                Simd::Avx2.is_available()
                    && is_x86_feature_detected!("avx512f")
                    && is_x86_feature_detected!("avx512bw")
                    && is_x86_feature_detected!("avx512vl")
                    && is_x86_feature_detected!("avx512vnni")
            }
            #[cfg(not(target_arch = "x86_64"))]
            _ => false,
        }
    }

    /// The fastest that this CPU has.
    pub fn best() -> Simd {
        Simd::ALL.into_iter().rev().find(|simd| simd.is_available()).unwrap_or(Simd::Scalar)
    }
}
