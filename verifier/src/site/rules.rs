//! What costs how much: rules by path pattern, the first that fits counts.
//!
//! Whoever serves the request may take several spellings of a path for one article. So that no spelling is sold under another's
//! rule, rules look at the path with its escapes undone, and spellings that servers disagree about are refused.

use std::time::Duration;

use base64ct::{Base64UrlUnpadded, Encoding};
use farthing_protocol::amount::Unit;
use serde::Deserialize;
use sha2::{Digest, Sha256};

use super::SettingsError;
use crate::offer::{MAX_EXTERNAL_ID, Offer, Price};

/// A rule as it stands in the configuration: exactly one of `free`, `price` and `tip`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RuleSettings {
    path: String,
    #[serde(default)]
    free: bool,
    price: Option<String>,
    tip: Option<TipSettings>,
    title: Option<String>,
    access: Option<u64>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct TipSettings {
    minimum: String,
    suggested: String,
    maximum: String,
}

/// What a path may look like: `*` stands for one or more characters of a segment, `**` at the end for whatever follows, if anything does.
/// A slash at the end makes no difference, and what follows a semicolon in a segment is not looked at: some servers serve the same either way.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Pattern {
    segments: Vec<String>,
    open_end: bool,
}

impl Pattern {
    fn parse(text: &str) -> Option<Self> {
        let mut segments: Vec<String> = text.strip_prefix('/')?.split('/').map(str::to_owned).collect();
        let open_end = segments.last().is_some_and(|last| last == "**");
        if open_end {
            segments.pop();
        }
        if !open_end && segments.last().is_some_and(String::is_empty) {
            segments.pop();
        }
        // An empty segment before the end fits no path that is accepted, `**` in the middle would look as if it did something, and so would
        // what stands behind a semicolon.
        let useless = segments.iter().any(|segment| segment.is_empty() || segment.contains("**") || segment.contains(';'));
        (!useless).then_some(Self { segments, open_end })
    }

    /// Implements R-VERIF-12.
    fn fits(&self, path: &str) -> bool {
        let path = path.strip_prefix('/').unwrap_or_default();
        let path = path.strip_suffix('/').unwrap_or(path);
        let mut parts = path.split('/').filter(|_| !path.is_empty()).map(without_parameters);
        for segment in &self.segments {
            if !parts.next().is_some_and(|part| segment_fits(segment.as_bytes(), part.as_bytes())) {
                return false;
            }
        }
        self.open_end || parts.next().is_none()
    }
}

/// A segment as servers see it that take what follows a semicolon away.
fn without_parameters(segment: &str) -> &str {
    segment.split(';').next().unwrap_or_default()
}

/// Time: the product of the lengths at most.
fn segment_fits(pattern: &[u8], text: &[u8]) -> bool {
    let (mut at, mut read) = (0, 0);
    // The last star, and how far it reaches.
    let mut star: Option<(usize, usize)> = None;
    while read < text.len() {
        if pattern.get(at) == Some(&b'*') {
            star = Some((at, read + 1));
            at += 1;
            read += 1;
        } else if pattern.get(at) == Some(&text[read]) {
            at += 1;
            read += 1;
        } else if let Some((before, reach)) = star {
            star = Some((before, reach + 1));
            at = before + 1;
            read = reach + 1;
        } else {
            return false;
        }
    }
    at == pattern.len()
}

#[derive(Clone, Debug)]
struct Rule {
    pattern: Pattern,
    sale: Option<Sale>,
}

#[derive(Clone, Debug)]
struct Sale {
    price: Price,
    title: String,
    access: Duration,
}

impl Sale {
    fn offer(&self, path: &str) -> Offer {
        let short = path.len() <= MAX_EXTERNAL_ID && !path.chars().any(char::is_control);
        let external_id = if short { path.to_owned() } else { Base64UrlUnpadded::encode_string(&Sha256::digest(path)) };
        Offer { price: self.price, title: self.title.clone(), external_id, access: self.access }
    }
}

/// All rules, in order.
#[derive(Clone, Debug)]
pub struct Rules(Vec<Rule>);

impl Rules {
    /// Reads the rules of a configuration.
    ///
    /// # Errors
    /// [`SettingsError::Rule`] says which rule (counted from one) and why; the last rule must fit every path, so that no path is without
    /// an answer.
    pub fn parse(settings: &[RuleSettings], unit: &Unit, publisher: &str) -> Result<Self, SettingsError> {
        let rules = settings.iter().enumerate().map(|(index, rule)| {
            let wrong = |why| SettingsError::Rule(index + 1, why);
            let pattern = Pattern::parse(&rule.path).ok_or(wrong("the path is not a pattern such as /articles/* or /articles/**"))?;
            let amount = |text: &str| unit.parse(text).ok_or(wrong("an amount is in main units, such as 0.005"));
            let price = match (rule.free, &rule.price, &rule.tip) {
                (true, None, None) => None,
                (false, Some(price), None) => Some(Price::Fixed(amount(price)?)),
                (false, None, Some(tip)) => {
                    let [minimum, suggested, maximum] = [amount(&tip.minimum)?, amount(&tip.suggested)?, amount(&tip.maximum)?];
                    Some(Price::Tip { minimum, suggested, maximum })
                }
                _ => return Err(wrong("a rule has exactly one of free = true, price and tip")),
            };
            let sale = price.map(|price| Sale {
                price,
                title: rule.title.clone().unwrap_or_else(|| publisher.to_owned()),
                access: Duration::from_secs(rule.access.unwrap_or(86_400)),
            });
            if let Some(sale) = &sale {
                sale.offer("/")
                    .validate()
                    .map_err(|_| wrong("the price is zero, a tip's bounds are not in order, or the title is too long"))?;
            }
            Ok(Rule { pattern, sale })
        });
        let rules: Vec<Rule> = rules.collect::<Result<_, _>>()?;
        let all = Pattern { segments: Vec::new(), open_end: true };
        if rules.last().is_none_or(|last| last.pattern != all) {
            return Err(SettingsError::Rule(rules.len(), "the last rule must fit every path: path = \"/**\""));
        }
        Ok(Self(rules))
    }

    /// What is for sale at a [readable](readable) path; `None` is free.
    pub fn offer(&self, path: &str) -> Option<Offer> {
        let rule = self.0.iter().find(|rule| rule.pattern.fits(path));
        rule.and_then(|rule| rule.sale.as_ref()).map(|sale| sale.offer(path))
    }
}

/// The path with its escapes undone, if every server reads it the same way.
///
/// Implements R-VERIF-12.
///
/// Refused: escapes that are none, escaped slashes, percent signs, question marks, backslashes and control characters, what is not UTF-8,
/// and, also with parameters after a semicolon, empty segments but the last, and `.` or `..`.
pub fn readable(path: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(path.len());
    let mut rest = path.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let (byte, after) = match (first, after) {
            (b'%', [high, low, after @ ..]) => {
                let digit = |byte: &u8| char::from(*byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
                let byte = digit(high)? << 4 | digit(low)?;
                if matches!(byte, b'/' | b'%' | b'?') {
                    return None;
                }
                (byte, after)
            }
            (b'%', _) => return None,
            (byte, after) => (*byte, after),
        };
        if byte.is_ascii_control() || matches!(byte, b'\\' | b'#') {
            return None;
        }
        bytes.push(byte);
        rest = after;
    }
    let text = String::from_utf8(bytes).ok()?;
    let segments: Vec<&str> = text.strip_prefix('/')?.split('/').collect();
    let dots = |segment: &&str| matches!(without_parameters(segment), "." | "..");
    let empty = |segment: &&str| without_parameters(segment).is_empty();
    // The last one may be empty, but not by what is taken away.
    let empty = segments.split_last().is_some_and(|(last, before)| before.iter().any(empty) || (!last.is_empty() && empty(last)));
    (!empty && !segments.iter().any(dots)).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_fit_what_they_say() {
        let cases = [
            ("/", &["/"][..], &["/a", "/a/", "/a;b"][..]),
            ("/**", &["/", "/a", "/a/b/"], &[]),
            (
                "/articles/*",
                &["/articles/a", "/articles/a.html", "/articles/a/", "/articles;x/a", "/articles/a;-free", "/articles;x/a;y/"],
                &["/articles/", "/articles", "/articles/a/b", "/article/a"],
            ),
            ("/articles/*/", &["/articles/a", "/articles/a/"], &["/articles/", "/articles/a/b"]),
            ("/articles/**", &["/articles/", "/articles/a/b", "/articles", "/articles;x"], &["/articlesa", "/"]),
            ("/articles/*-free", &["/articles/a-free", "/articles/a-free;x"], &["/articles/a;-free", "/articles/-free"]),
            ("/a/*-free.*", &["/a/x-free.html", "/a/x-free-free.html"], &["/a/-free.html", "/a/x-free.", "/a/x-paid.html"]),
            ("/a*b*c", &["/axbxc", "/axbbc", "/axbxbxc"], &["/abxc", "/axbc/", "/axbx"]),
        ];
        for (pattern, fitting, other) in cases {
            let parsed = Pattern::parse(pattern).unwrap();
            for path in fitting {
                assert!(parsed.fits(path), "{pattern} fits {path}");
            }
            for path in other {
                assert!(!parsed.fits(path), "{pattern} does not fit {path}");
            }
        }
        for pattern in ["articles", "", "//", "/a//b", "/**/a", "/a**", "/a;b", "/a//"] {
            assert!(Pattern::parse(pattern).is_none(), "{pattern} is refused");
        }
    }

    #[test]
    fn spellings_that_servers_disagree_about_are_refused() {
        assert_eq!(readable("/%61rticles/%C3%A9").as_deref(), Some("/articles/\u{e9}"));
        assert_eq!(readable("/a;v=1/b/").as_deref(), Some("/a;v=1/b/"));
        assert_eq!(readable("/").as_deref(), Some("/"));
        let refused = [
            "",
            "a",
            "//a",
            "/a//b",
            "/a/../b",
            "/a/..",
            "/./a",
            "/a/%2e%2E/b",
            "/a/..;x/b",
            "/;x/a",
            "/a/;x",
            "/a%3F-preview",
            "/a%2fb",
            "/a%5cb",
            "/a\\b",
            "/a%00",
            "/a%0a",
            "/a%",
            "/a%4",
            "/a%zz",
            "/a%252fb",
            "/%ff",
            "/a#b",
            "http://other.example/a",
        ];
        for path in refused {
            assert!(readable(path).is_none(), "{path} is refused");
        }
    }
}
