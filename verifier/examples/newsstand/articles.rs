//! Articles in Markdown with a head that names title and price.

use std::fs;
use std::path::Path;

use farthing_protocol::amount::{Amount, Unit};
use pulldown_cmark::{Parser, html};

/// An article that is for sale.
pub struct Article {
    /// The file's name without its ending; part of the address.
    pub slug: String,
    /// Its headline.
    pub title: String,
    /// Its price.
    pub price: Amount,
    /// Its text as HTML.
    pub html: String,
}

/// Reads all `*.md` of a directory, ascending by name.
pub fn read_articles(directory: &Path, unit: &Unit) -> Result<Vec<Article>, String> {
    let entries = fs::read_dir(directory).map_err(|error| format!("the articles cannot be read: {error}"))?;
    let mut paths: Vec<_> = entries.filter_map(|entry| entry.ok().map(|entry| entry.path())).collect();
    paths.retain(|path| path.extension().is_some_and(|ending| ending == "md"));
    paths.sort();
    paths.iter().map(|path| read_article(path, unit)).collect()
}

fn read_article(path: &Path, unit: &Unit) -> Result<Article, String> {
    let slug = path.file_stem().and_then(|name| name.to_str()).ok_or("an article's file name is not text")?.to_owned();
    let wrong = |what: &str| format!("article {slug}: {what}");
    let text = fs::read_to_string(path).map_err(|error| wrong(&error.to_string()))?;
    let (head, body) = text.strip_prefix("---\n").and_then(|rest| rest.split_once("\n---\n")).ok_or_else(|| wrong("it has no head"))?;
    let field = |name: &str| {
        let line = head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        line.map(str::trim).ok_or_else(|| wrong(&format!("its head has no {name}")))
    };
    let price = unit.parse(field("price")?).filter(|price| !price.is_zero()).ok_or_else(|| wrong("its price is no amount"))?;
    let mut rendered = String::new();
    html::push_html(&mut rendered, Parser::new(body));
    Ok(Article { title: field("title")?.to_owned(), price, html: rendered, slug })
}
