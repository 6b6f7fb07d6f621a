//! `farthing-mint serve`: the listeners beside the public one, for the operator and for the shop's payment provider.

use std::net::SocketAddr;
use std::path::PathBuf;

use farthing_mint::shop::{Shop, ShopSecrets};
use farthing_mint::{Mint, MintError, admin, shop};
use tokio::net::TcpListener;

use super::secret::read;
use crate::{Failure, print, stopped};

/// Who else is listened to.
#[derive(clap::Args)]
pub struct DeskArguments {
    /// Where the admin API listens: this machine or a private network, never the world
    #[arg(long, env = "FARTHING_MINT_ADMIN_LISTEN", value_name = "ADDRESS", requires = "admin_token_file")]
    admin_listen: Option<SocketAddr>,
    /// A file, mode 0600, of the bearer tokens that open the admin API, one a line, of at least 32 random bytes each; `orders ` in front of one
    /// restricts it to looking up the vouchers of checkouts
    #[arg(long, env = "FARTHING_MINT_ADMIN_TOKEN_FILE", value_name = "FILE")]
    admin_token_file: Option<PathBuf>,
    /// Where the payment provider's events are heard; put a TLS proxy in front for the world
    #[arg(long, env = "FARTHING_MINT_SHOP_LISTEN", value_name = "ADDRESS", requires = "shop_secret_file")]
    shop_listen: Option<SocketAddr>,
    /// A file, mode 0600, of the endpoint's signing secrets at the provider (`whsec_..`), one a line
    #[arg(long, env = "FARTHING_MINT_SHOP_SECRET_FILE", value_name = "FILE")]
    shop_secret_file: Option<PathBuf>,
    /// Makes vouchers of the provider's test events too, for which nobody has paid: for trials only
    #[arg(long, env = "FARTHING_MINT_SHOP_TEST_EVENTS")]
    shop_test_events: bool,
}

/// A listener and what it serves.
type Door = Option<(TcpListener, axum::Router)>;

/// The listeners, open.
pub struct Desk {
    admin: Door,
    shop: Door,
}

impl DeskArguments {
    /// Opens the listeners that were asked for.
    pub async fn open(&self, mint: &Mint) -> Result<Desk, Failure> {
        let mut desk = Desk { admin: None, shop: None };
        if let Some((address, file)) = self.admin_listen.zip(self.admin_token_file.as_deref()) {
            let tokens = admin::Tokens::parse(&read(file, "the file of admin tokens")?)?;
            desk.admin = Some((bind(address).await?, admin::router(mint.clone(), tokens)));
        }
        if let Some((address, file)) = self.shop_listen.zip(self.shop_secret_file.as_deref()) {
            let secrets = ShopSecrets::parse(&read(file, "the file of the shop's secrets")?)?;
            let shop = Shop { mint: mint.clone(), secrets, test_events: self.shop_test_events };
            desk.shop = Some((bind(address).await?, shop::router(shop)));
        }
        Ok(desk)
    }
}

async fn bind(address: SocketAddr) -> Result<TcpListener, MintError> {
    TcpListener::bind(address).await.map_err(|error| MintError::Serve(error.kind()))
}

impl Desk {
    /// Says where they are. Whoever started this may not be listening.
    pub fn announce(&self) {
        for (what, door) in [("admin API", &self.admin), ("voucher shop", &self.shop)] {
            if let Some(address) = door.as_ref().and_then(|(listener, _)| listener.local_addr().ok()) {
                let _: Result<(), Failure> = print(&format!("{what} on http://{address}"));
            }
        }
    }

    /// Serves until the process is told to stop.
    pub async fn serve(self, mint: &Mint) -> Result<(), Failure> {
        let serve = |door: Door| async {
            match door {
                Some((listener, router)) => mint.serve_beside(listener, router, stopped()).await,
                None => Ok(()),
            }
        };
        tokio::try_join!(serve(self.admin), serve(self.shop))?;
        Ok(())
    }
}
