//! `farthing-mint voucher`: what is sold.

use clap::Subcommand;
use farthing_mint::Mint;
use serde_json::json;

use super::secret::SecretArguments;
use crate::{Data, Failure, open, print};

#[derive(Subcommand)]
pub enum VoucherCommand {
    /// Makes vouchers and prints their codes, one a line: whoever reads a code has the money
    Create {
        #[command(flatten)]
        data: Data,
        /// What each is worth, in main units, such as 5.00
        #[arg(long)]
        amount: String,
        /// How many
        #[arg(long, default_value_t = 1)]
        count: u32,
        /// Names this order for good: the same key, amount and count again print the same codes and make nothing. Codes then come from the
        /// mint's keys, which must be opened
        #[arg(long, value_name = "KEY")]
        idempotency_key: Option<String>,
        #[command(flatten)]
        secret: SecretArguments,
        /// Prints JSON
        #[arg(long)]
        json: bool,
    },
    /// Prints the code of a checkout that the payment provider has told to be paid
    Order {
        #[command(flatten)]
        data: Data,
        #[command(flatten)]
        secret: SecretArguments,
        /// The checkout session's id
        checkout: String,
        /// Prints JSON, amounts in smallest units
        #[arg(long)]
        json: bool,
    },
}

pub async fn voucher(command: VoucherCommand) -> Result<(), Failure> {
    match command {
        VoucherCommand::Create { data, amount, count, idempotency_key, secret, json } => {
            let mint = match &idempotency_key {
                Some(_) => Mint::open(&data.dir, secret.options(&data)?).await?,
                None => open(data).await?,
            };
            let amount = mint.unit().parse(&amount).filter(|amount| !amount.is_zero());
            let amount = amount.ok_or(Failure::Usage("not an amount in main units, such as 5.00"))?;
            let codes = match &idempotency_key {
                Some(key) => mint.order_vouchers(key, amount, count).await?,
                None => mint.create_vouchers(amount, count).await?,
            };
            if json {
                let codes: Vec<_> = codes.iter().map(|code| code.expose_secret().to_string()).collect();
                let currency = mint.unit().name();
                return print(&json!({ "amount": amount.to_string(), "currency": currency, "codes": codes }).to_string());
            }
            codes.iter().try_for_each(|code| print(&code.expose_secret()))
        }
        VoucherCommand::Order { data, secret, checkout, json } => {
            let mint = Mint::open(&data.dir, secret.options(&data)?).await?;
            let order = mint.order(&checkout).await?.ok_or(Failure::Usage("no checkout of that name was told to be paid"))?;
            if json {
                let codes: Vec<_> = order.codes.iter().map(|code| code.expose_secret().to_string()).collect();
                let (amount, reversed) = (order.amount, order.reversed);
                return print(&json!({ "amount": amount, "reversed": reversed, "time": order.time, "codes": codes }).to_string());
            }
            order.codes.iter().try_for_each(|code| print(&code.expose_secret()))
        }
    }
}
