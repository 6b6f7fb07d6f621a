//! The interfaces as OpenAPI 3.1 documents, made from the handlers themselves.

use utoipa::OpenApi;
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{ContentBuilder, OpenApi as Document, Ref, ResponseBuilder};

/// Who is let in.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    /// Whoever has a token.
    Bearer,
    /// Whoever signs with the shop's secret.
    Signed,
    /// Everybody, each as often as the limits of a client say.
    Public,
}

/// What a client is told who asks too often.
const TOO_MANY: (&str, &str) = ("429", "`too-many-requests`; see `Retry-After`");

/// What may be asked any number of times.
const UNLIMITED: [&str; 2] = ["/livez", "/readyz"];

#[derive(OpenApi)]
#[openapi(
    info(title = "Farthing mint, admin API", description = "For the operator, behind bearer tokens. Amounts are in smallest units."),
    components(schemas(crate::http::ProblemBody))
)]
struct Admin;

/// The frame of the admin API's document.
pub(super) fn admin() -> Document {
    Admin::openapi()
}

/// A document with the answers that every operation may give.
pub(crate) fn finished(mut document: Document, access: Access) -> Document {
    let busy = match access {
        Access::Bearer | Access::Signed => "`unavailable`, `clock-jumped`; see `Retry-After`",
        Access::Public => "`unavailable`, `overloaded`, `too-many-sessions`, `ledger-behind`, `clock-jumped`; see `Retry-After`",
    };
    let mut common = vec![("408", "`request-timeout`"), ("503", busy)];
    if access == Access::Bearer {
        common.extend([
            ("401", "`unauthorized`"),
            ("403", "`forbidden`"),
            ("413", "`body-too-large`"),
            ("415", "`unsupported-media-type`"),
            ("500", "`internal-error`"),
        ]);
        let components = document.components.get_or_insert_default();
        components.add_security_scheme("bearer", SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer)));
        document.security = Some(vec![SecurityRequirement::new("bearer", Vec::<String>::new())]);
    }
    for (template, path) in &mut document.paths.paths {
        let operations = [&mut path.get, &mut path.put, &mut path.post];
        for operation in operations.into_iter().filter_map(Option::as_mut) {
            let limited = access == Access::Public && !UNLIMITED.contains(&template.as_str());
            for (status, codes) in common.iter().chain(limited.then_some(&TOO_MANY)) {
                let content = ContentBuilder::new().schema(Some(Ref::from_schema_name("Problem"))).build();
                let response = ResponseBuilder::new().description(*codes).content("application/problem+json", content).build();
                operation.responses.responses.entry((*status).to_owned()).or_insert_with(|| response.into());
            }
        }
    }
    document
}
