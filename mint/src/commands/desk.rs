//! `farthing-mint serve`: the listeners beside the public one, for the operator and for the shop's payment provider.

use farthing_mint::admin::{self, Tokens};
use farthing_mint::settings::{Door, Settings};
use farthing_mint::shop::{self, Shop, ShopSecrets};
use farthing_mint::{Mint, MintError};
use tokio::net::TcpListener;

use super::secret::read;
use super::serve::{bind, stopped};
use crate::Failure;

/// The secrets of the doors that the settings name.
pub struct Secrets {
    admin: Option<Tokens>,
    shop: Option<ShopSecrets>,
}

impl Secrets {
    /// Reads them; a failure comes with the setting whose file it is.
    pub fn read(settings: &Settings) -> Result<Self, (&'static str, Failure)> {
        let text = |door: &Door, what| read(&door.secrets, what);
        let tokens = |door| Ok(Tokens::parse(&text(door, "the file of admin tokens")?)?);
        let secrets = |door| Ok(ShopSecrets::parse(&text(door, "the file of the shop's secrets")?)?);
        Ok(Self {
            admin: settings.admin.as_ref().map(tokens).transpose().map_err(|failure| ("admin_token_file", failure))?,
            shop: settings.shop.as_ref().map(secrets).transpose().map_err(|failure| ("shop_secret_file", failure))?,
        })
    }
}

/// The listeners, open.
pub struct Desk(Vec<(TcpListener, axum::Router)>);

impl Desk {
    /// Opens the listeners that were asked for; the texts say where they are.
    pub async fn open(settings: &Settings, secrets: Secrets, mint: &Mint) -> Result<(Self, Vec<String>), Failure> {
        let mut doors = Vec::new();
        if let Some((door, tokens)) = settings.admin.as_ref().zip(secrets.admin) {
            doors.push(("admin API", door.listen, admin::router(mint.clone(), tokens)));
        }
        if let Some((door, secrets)) = settings.shop.as_ref().zip(secrets.shop) {
            let shop = Shop { mint: mint.clone(), secrets, test_events: settings.shop_test_events };
            doors.push(("voucher shop", door.listen, shop::router(shop)));
        }
        let (mut open, mut said) = (Vec::new(), Vec::new());
        for (what, address, router) in doors {
            let (listener, local) = bind(address).await?;
            said.push(format!("{what} on http://{local}"));
            open.push((listener, router));
        }
        Ok((Self(open), said))
    }

    /// Serves until the process is told to stop, then finishes what was begun.
    pub async fn serve(self, mint: &Mint) -> Result<(), MintError> {
        let mut doors = tokio::task::JoinSet::new();
        for (listener, router) in self.0 {
            let mint = mint.clone();
            doors.spawn(async move { mint.serve_beside(listener, router, stopped()).await });
        }
        while let Some(served) = doors.join_next().await {
            served.unwrap_or(Err(MintError::Serve(std::io::ErrorKind::Other)))?;
        }
        Ok(())
    }
}
