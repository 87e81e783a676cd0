//! Shows a cluster's topics and groups, and how far a group has come, as Kafka's own tool tells it.
//!
//! ```text
//! cargo run --example groups -- -X bootstrap.servers=HOSTS [--topics] [--groups] [--group G ...]
//! ```

#[path = "../common/command_line.rs"]
mod command_line;
mod describe;
#[path = "../common/ending.rs"]
mod ending;
mod options;
mod table;

use std::process::ExitCode;
use std::time::Duration;

use ottla::{Admin, Result};

use crate::describe::Described;
use crate::options::Options;
use crate::table::Table;

/// As long as Kafka's tool waits, and a little: a partition without a leader is not to hold up the others for long.
const PATIENCE: Duration = Duration::from_secs(10);

#[tokio::main]
async fn main() -> ExitCode {
    let options = match Options::from_command_line() {
        Ok(Some(options)) => options,
        Ok(None) => return ending::print(options::USAGE),
        Err(wrong) => return ending::refuse(2, &format!("{wrong} {}", command_line::HINT)),
    };
    match run(options).await {
        Ok(shown) => shown,
        Err(error) => ending::fail(&error),
    }
}

async fn run(options: Options) -> Result<ExitCode> {
    let client = options.client.connect().await?;
    let admin = client.admin().timeout(PATIENCE);
    let mut tables = Vec::new();
    let mut notes = Vec::new();
    if options.topics {
        tables.push(topics(&admin).await?);
    }
    if options.groups {
        tables.push(groups(&admin).await?);
    }
    let mut complete = true;
    for group in &options.describe {
        let described = Described::ask(&admin, group).await?;
        complete &= described.is_complete();
        tables.push(described.table());
        notes.extend(described.notes());
    }
    let tables: Vec<_> = tables.iter().map(Table::to_string).collect();
    let printed = ending::print(&tables.join("\n"));
    // Behind the tables, where a person looks last.
    for note in &notes {
        ending::note(note);
    }
    Ok(if complete { printed } else { ExitCode::FAILURE })
}

async fn topics(admin: &Admin) -> Result<Table> {
    let mut table = Table::new(["TOPIC", "PARTITIONS", "REPLICAS"]);
    for topic in admin.list_topics().await? {
        let replicas = topic.partitions.iter().map(|p| p.replicas.len()).max();
        table.row([
            topic.name.to_string(),
            topic.partitions.len().to_string(),
            replicas.unwrap_or_default().to_string(),
        ]);
    }
    Ok(table)
}

async fn groups(admin: &Admin) -> Result<Table> {
    let mut table = Table::new(["GROUP", "TYPE", "PROTOCOL", "STATE"]);
    for group in admin.list_groups().await? {
        table.row([
            group.group.to_string(),
            table::or_dash(group.kind),
            table::or_dash(Some(group.protocol_type).filter(|name| !name.is_empty())),
            table::or_dash(group.state),
        ]);
    }
    Ok(table)
}
