//! Kafka's jars: fetched once by Maven into a cache that all test processes share.

use std::{
    env,
    fs::{self, File, OpenOptions},
    hash::{DefaultHasher, Hash, Hasher},
    io,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::OnceLock,
};

use rustix::fs::{FlockOperation, flock};

use crate::{
    Version,
    error::{Context, Error},
    process::tail_of,
};

const HELPER: &str = include_str!("../java/Helper.java");

const LOG4J2: &str = "\
status = error
appender.out.type = Console
appender.out.name = OUT
appender.out.layout.type = PatternLayout
appender.out.layout.pattern = [%d] %p %m (%c)%n
rootLogger.level = warn
rootLogger.appenderRef.out.ref = OUT
";

/// The version whose clients do all the asking; they talk to every broker from 2.1 on.
const CLIENTS: Version = Version::V4_3_0;

/// Whether a live test may run here: Java 17 or newer, and Maven or jars that are already cached.
///
/// # Errors
///
/// One line that says what to install.
pub fn available() -> Result<(), String> {
    static ANSWER: OnceLock<Result<(), String>> = OnceLock::new();
    ANSWER
        .get_or_init(|| {
            check_java().map_err(|error| error.to_string())?;
            if !helper_classes(&Jars::at(CLIENTS)).exists() {
                check_javac().map_err(|error| error.to_string())?;
            }
            if Version::ALL
                .into_iter()
                .all(|version| Jars::at(version).home.join("done").exists())
            {
                return Ok(());
            }
            check_maven().map_err(|error| error.to_string())
        })
        .clone()
}

/// The jars of one version, present on disk.
#[derive(Debug, Clone)]
pub(crate) struct Jars {
    home: PathBuf,
    version: Version,
}

impl Jars {
    fn at(version: Version) -> Self {
        Self {
            home: cache().join(version.as_str()),
            version,
        }
    }

    /// Finds the jars, or downloads them.
    pub(crate) fn get(version: Version) -> Result<Self, Error> {
        check_java()?;
        let jars = Self::at(version);
        if !jars.home.join("done").exists() {
            let _lock = lock(&cache(), version.as_str())?;
            if !jars.home.join("done").exists() {
                jars.download()?;
            }
        }
        Ok(jars)
    }

    fn download(&self) -> Result<(), Error> {
        check_maven()?;
        let home = &self.home;
        eprintln!(
            "kafka-cluster: downloading Kafka {} to {}",
            self.version,
            home.display()
        );
        // What an interrupted download left behind is not trusted.
        let _ = fs::remove_dir_all(home);
        fs::create_dir_all(home).context(|| format!("creating {}", home.display()))?;
        write(&home.join("pom.xml"), &pom(self.version))?;
        let output = Command::new("mvn")
            .args([
                "-q",
                "-B",
                "dependency:copy-dependencies",
                "-DoutputDirectory=libs",
            ])
            .current_dir(home)
            .stdin(Stdio::null())
            .output()
            .context(|| "running mvn".to_owned())?;
        if !output.status.success() {
            let text = format!("{}{}", text(&output.stdout), text(&output.stderr));
            let what = format!("Maven could not download Kafka {}", self.version);
            return Err(Error::Failed {
                what,
                output: tail_of(&text),
            });
        }
        write(&home.join("log4j2.properties"), LOG4J2)?;
        write(&home.join("done"), "")
    }

    /// `java` with this version's class path.
    pub(crate) fn java(&self) -> Command {
        self.java_with(None)
    }

    fn java_with(&self, classes: Option<&Path>) -> Command {
        let mut command = Command::new(java());
        let libs = format!("{}/libs/*", self.home.display());
        let path = classes.map_or_else(
            || libs.clone(),
            |classes| format!("{}:{libs}", classes.display()),
        );
        command
            .arg("-Djava.awt.headless=true")
            .arg("-Dorg.slf4j.simpleLogger.defaultLogLevel=warn")
            .arg(format!(
                "-Dlog4j2.configurationFile={}",
                self.home.join("log4j2.properties").display()
            ))
            .args(["-cp", &path]);
        command
    }

    /// The directory of a freshly formatted KRaft node, to be copied.
    ///
    /// Formatting costs a JVM start for each node; its result differs only in `meta.properties`.
    pub(crate) fn template(&self) -> Result<PathBuf, Error> {
        let template = self.home.join("formatted");
        if template.exists() {
            return Ok(template);
        }
        let _lock = lock(&cache(), self.version.as_str())?;
        if template.exists() {
            return Ok(template);
        }
        let work = self.home.join("formatting");
        let _ = fs::remove_dir_all(&work);
        fs::create_dir_all(&work).context(|| format!("creating {}", work.display()))?;
        let data = work.join("data");
        let config = work.join("server.properties");
        let settings = "process.roles=broker,controller\nnode.id=1\ncontroller.quorum.voters=1@127.0.0.1:1\n\
             listeners=PLAINTEXT://127.0.0.1:2,CONTROLLER://127.0.0.1:1\ncontroller.listener.names=CONTROLLER\n";
        write(&config, &format!("{settings}log.dirs={}\n", data.display()))?;
        let output = self
            .java()
            .args([
                "kafka.tools.StorageTool",
                "format",
                "-t",
                "AAAAAAAAAAAAAAAAAAAAAQ",
                "-c",
            ])
            .arg(&config)
            .output()
            .context(|| "running Java".to_owned())?;
        if !output.status.success() {
            let what = "formatting a KRaft directory failed".to_owned();
            return Err(Error::Failed {
                what,
                output: text(&output.stdout) + &text(&output.stderr),
            });
        }
        fs::rename(&data, &template).context(|| format!("creating {}", template.display()))?;
        let _ = fs::remove_dir_all(&work);
        Ok(template)
    }
}

/// `java` ready to run the helper, which is compiled on first use.
pub(crate) fn helper() -> Result<Command, Error> {
    let jars = Jars::get(CLIENTS)?;
    let classes = helper_classes(&jars);
    if !classes.exists() {
        let _lock = lock(&cache(), "helper")?;
        if !classes.exists() {
            compile(&jars, &classes)?;
        }
    }
    let mut command = jars.java_with(Some(&classes));
    command.args([
        "-Xmx512m",
        "-XX:+UseSerialGC",
        "-XX:TieredStopAtLevel=1",
        "Helper",
    ]);
    Ok(command)
}

/// Where the compiled helper is kept; a changed source gets another place.
fn helper_classes(jars: &Jars) -> PathBuf {
    let mut hasher = DefaultHasher::new();
    HELPER.hash(&mut hasher);
    jars.home.join(format!("helper-{:016x}", hasher.finish()))
}

fn compile(jars: &Jars, classes: &Path) -> Result<(), Error> {
    check_javac()?;
    let work = classes.with_extension("new");
    let _ = fs::remove_dir_all(&work);
    fs::create_dir_all(&work).context(|| format!("creating {}", work.display()))?;
    let source = work.join("Helper.java");
    write(&source, HELPER)?;
    let output = Command::new(tool("javac"))
        .args([
            "-nowarn",
            "-cp",
            &format!("{}/libs/*", jars.home.display()),
            "-d",
        ])
        .args([&work, &source])
        .output()
        .context(|| "running javac".to_owned())?;
    if !output.status.success() {
        return Err(Error::Failed {
            what: "javac failed".to_owned(),
            output: text(&output.stderr),
        });
    }
    fs::rename(&work, classes).context(|| format!("creating {}", classes.display()))
}

fn pom(version: Version) -> String {
    let dependencies: String = version
        .artifacts()
        .into_iter()
        .map(|(group, artifact, version)| {
            format!(
                "<dependency><groupId>{group}</groupId><artifactId>{artifact}</artifactId>\
                 <version>{version}</version></dependency>"
            )
        })
        .collect();
    format!(
        "<project><modelVersion>4.0.0</modelVersion>\n<groupId>local</groupId><artifactId>kafka-dist</artifactId>\
         <version>1</version><packaging>pom</packaging>\n<dependencies>\n{dependencies}\n</dependencies></project>\n"
    )
}

fn cache() -> PathBuf {
    if let Some(dir) = env::var_os("KAFKA_JARS") {
        return dir.into();
    }
    let home = env::var_os("HOME").map_or_else(env::temp_dir, PathBuf::from);
    home.join(".cache").join("kafka-jars")
}

/// Held until dropped; waits while another process holds it.
fn lock(dir: &Path, name: &str) -> Result<File, Error> {
    fs::create_dir_all(dir).context(|| format!("creating {}", dir.display()))?;
    let path = dir.join(format!(".{name}.lock"));
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&path)
        .context(|| format!("opening {}", path.display()))?;
    flock(&file, FlockOperation::LockExclusive)
        .context(|| format!("locking {}", path.display()))?;
    Ok(file)
}

fn tool(name: &str) -> PathBuf {
    env::var_os("JAVA_HOME").map_or_else(
        || name.into(),
        |home| Path::new(&home).join("bin").join(name),
    )
}

fn java() -> PathBuf {
    tool("java")
}

fn missing_java(found: &str) -> Error {
    Error::Missing(format!(
        "real Kafka needs a JDK, version 17 or newer ({found}): install one, such as Debian's openjdk-17-jdk-headless"
    ))
}

fn check_java() -> Result<(), Error> {
    static MAJOR: OnceLock<Result<u32, String>> = OnceLock::new();
    let major = MAJOR.get_or_init(|| match Command::new(java()).arg("-version").output() {
        Ok(output) => java_major(&text(&output.stderr))
            .ok_or_else(|| "its version could not be read".to_owned()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            Err("java was not found".to_owned())
        }
        Err(error) => Err(format!("java did not start: {error}")),
    });
    match major {
        Ok(17..) => Ok(()),
        Ok(old) => Err(missing_java(&format!("found Java {old}"))),
        Err(reason) => Err(missing_java(reason)),
    }
}

/// A runtime alone cannot compile the helper.
fn check_javac() -> Result<(), Error> {
    match Command::new(tool("javac")).arg("-version").output() {
        Ok(output) if output.status.success() => Ok(()),
        _ => Err(missing_java("javac was not found")),
    }
}

/// The major version from what `java -version` prints.
fn java_major(printed: &str) -> Option<u32> {
    let version = printed.split('"').nth(1)?;
    version
        .split(|c: char| !c.is_ascii_digit())
        .next()?
        .parse()
        .ok()
}

fn check_maven() -> Result<(), Error> {
    let found = Command::new("mvn")
        .arg("-version")
        .stdin(Stdio::null())
        .output();
    match found {
        Ok(output) if output.status.success() => Ok(()),
        _ => Err(Error::Missing(
            "real Kafka's jars are fetched by Maven, and mvn was not found: install Maven, or set KAFKA_JARS to a \
             directory that holds them"
                .to_owned(),
        )),
    }
}

fn write(path: &Path, content: &str) -> Result<(), Error> {
    fs::write(path, content).context(|| format!("writing {}", path.display()))
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn java_version_is_read_from_old_and_new_forms() {
        assert_eq!(
            java_major("openjdk version \"17.0.15\" 2025-04-15\n"),
            Some(17)
        );
        assert_eq!(java_major("openjdk version \"25\" 2025-09-16\n"), Some(25));
        assert_eq!(java_major("openjdk version \"22-ea\" 2024\n"), Some(22));
        assert_eq!(java_major("java version \"1.8.0_392\"\n"), Some(1));
        assert_eq!(java_major("command not found"), None);
    }
}
