// A module of its own: its tests need Node.js.
module regent/deploy

go 1.26.0

require go.yaml.in/yaml/v3 v3.0.6
