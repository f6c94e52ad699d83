//! Compiles protos/ into the wire types, without a protoc binary.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let root = std::path::Path::new("../../protos");
    let names = ["config", "edge", "pool", "route", "session", "token"];
    let protos = names.map(|name| root.join(format!("zcontrol/v1/{name}.proto")));
    for proto in &protos {
        println!("cargo:rerun-if-changed={}", proto.display());
    }
    let descriptors = protox::compile(&protos, [root])?;
    tonic_prost_build::configure().build_server(cfg!(feature = "fake-control")).compile_fds(descriptors)?;
    Ok(())
}
