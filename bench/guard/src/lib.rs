//! Two guards over the protocol's code: that its secrets do not show in its timing, and that it does not become slower unnoticed.
//!
//! `timing` runs Welch's t-test over the times of two classes of secrets; `instructions` compares instruction counts with those of
//! `instructions.json`.

pub mod baseline;
pub mod counted;
pub mod secrets;
pub mod welch;

/// What went wrong, for whoever started the tool.
pub type Fault = Box<dyn std::error::Error + Send + Sync>;

/// Which of the backends of curve25519-dalek this process runs: chosen when it was built and by what the processor can do.
pub fn backend() -> &'static str {
    #[cfg(target_arch = "x86_64")]
    {
        let ifma = std::arch::is_x86_feature_detected!("avx512ifma") && std::arch::is_x86_feature_detected!("avx512vl");
        if cfg!(curve25519_dalek_backend = "avx512") && ifma {
            return "avx512";
        }
        if !cfg!(curve25519_dalek_backend = "serial") && std::arch::is_x86_feature_detected!("avx2") {
            return "avx2";
        }
    }
    "serial"
}
