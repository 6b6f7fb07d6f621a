//! The example publisher: no spelling of an article's address is free.

#[path = "../examples/newsstand/articles.rs"]
mod articles;
#[path = "../examples/newsstand/publisher.rs"]
mod publisher;

use std::path::PathBuf;

use farthing_protocol::proof::LoneKey;

#[tokio::test]
async fn no_spelling_of_an_address_is_free() {
    let data = tempfile::tempdir().unwrap();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let site = listener.local_addr().unwrap().to_string();
    let for_sale = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/examples/newsstand/articles"));
    let publisher = publisher::Publisher {
        name: site.clone(),
        articles: for_sale.clone(),
        data: data.path().join("publisher"),
        mint: "http://127.0.0.1:1".parse().unwrap(),
        root: *LoneKey::generate(&mut rand::rng()).public(),
    };
    let _verifier = publisher.serve(listener).await.unwrap();
    for article in articles::read_articles(&for_sale, &farthing_protocol::amount::Unit::default_eur()).unwrap() {
        let (first, rest) = article.slug.split_at(1);
        let encoded = format!("%{:02x}{rest}", first.as_bytes()[0]);
        for path in [article.slug.clone(), encoded.clone(), encoded.to_uppercase(), format!("{}?a", article.slug), format!("/{encoded}")] {
            let response = reqwest::get(format!("http://{site}/articles/{path}")).await.unwrap();
            assert!(!response.status().is_success(), "{path}: {}", response.status());
            assert!(!response.text().await.unwrap().contains(&article.html), "{path}");
        }
    }
}
