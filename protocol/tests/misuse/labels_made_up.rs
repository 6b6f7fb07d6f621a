//! Nobody else makes domain separators.
use farthing_protocol::labels::Domain as Separator;

const MINE: Separator = Separator("farthing/1 mine");

fn main() {}
