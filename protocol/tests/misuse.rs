//! Misuse that must not compile, and traits that secrets must not have.

use std::fmt::{Debug, Display};

use farthing_protocol::issue::PendingTokens;
use farthing_protocol::proof::{LoneKey, SpendKey};
use farthing_protocol::restore::RestoredToken;
use farthing_protocol::seed::WalletSeed;
use farthing_protocol::snowblind::{Blinding, Nonces, PendingBlinding, Response, SigningKey};
use farthing_protocol::token::{OwnedToken, OwnedTokens, Token, UsedTokens};
use farthing_protocol::voucher::VoucherCode;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Does not compile if a type has a trait: with the trait, the choice of `Ambiguous` is ambiguous.
macro_rules! lack {
    ($traits:tt: $($type:ty),*) => { $(lack!(@ $type, $traits);)* };
    (@ $type:ty, [$($trait:path),*]) => {
        $(const _: fn() = || {
            #[allow(dead_code)]
            trait Ambiguous<A> {
                fn item() {}
            }
            impl<T: ?Sized> Ambiguous<()> for T {}
            struct Has;
            impl<T: ?Sized + $trait> Ambiguous<Has> for T {}
            let _ = <$type as Ambiguous<_>>::item;
        };)*
    };
}

lack!([Clone, Copy, Debug, Display, Serialize, DeserializeOwned]:
    SigningKey, Nonces, Blinding, PendingBlinding, SpendKey, LoneKey, WalletSeed, OwnedToken, OwnedTokens, UsedTokens, PendingTokens,
    RestoredToken);
lack!([Clone, Copy, Display, Serialize, DeserializeOwned]: VoucherCode);
// Not secret once sent, but they identify a reader's session or money: never in a log.
lack!([Debug, Display]: Response, Token);

#[test]
fn misuse_does_not_compile() {
    trybuild::TestCases::new().compile_fail("tests/misuse/*.rs");
}

#[test]
fn debug_output_holds_no_secret() {
    use farthing_protocol::group::Point;
    use farthing_protocol::http::Credential;
    use farthing_protocol::wire::Bytes;
    use rand::SeedableRng;

    let voucher = VoucherCode::generate(&mut rand::rngs::StdRng::seed_from_u64(1));
    assert_eq!(format!("{voucher:?}"), "VoucherCode(..)");
    assert_eq!(format!("{:?}", Point::generator()), "Point(..)");
    assert_eq!(format!("{:?}", Bytes([7; 32])), "[32 bytes]");
    let credential = Credential::Payment { payment: "AQE".into(), salt: "c2FsdA".into() };
    assert_eq!(format!("{credential:?}"), "Payment(..)");
}
