package programs

// A program is a command that saves version N of a document. Its script runs
// under sh in the directory of the file, with these in its environment:
//
//	FILE     the name of the file to save
//	N        the version, 1 to 3
//	SRC      a directory with the documents 0.json to 3.json, and as .txt
//	DATA     the testdata of this package
//	BIN      programs that were compiled for it
//	PYTHON   an interpreter that has the modules it needs
type program struct {
	group, name string
	script      string
	// native, if given, is what the script means: run natively in its place.
	native string
	// file is the name it saves; empty: state.json.
	file string
	// fresh: there is no file before the first save.
	fresh bool
	// free: the content is no function of N, and whole when it is valid.
	free bool
	// gap: it removes the old name before it makes the new one.
	gap bool
	// plain: the file is not protected, it only has to work.
	plain bool
	// core: it is there after make setup and runs in the usual tests.
	core   bool
	needs  []string // commands
	module string   // Python module
	node   bool     // needs the Node packages of testdata/node
}

const (
	python = `"$PYTHON" "$DATA/python/save.py" `
	node   = `node "$DATA/node/`
)

var list = []program{
	{group: "Python", name: "json.dump", core: true, script: python + `dump "$FILE" $N`, needs: []string{"python3"}},
	{group: "Python", name: "json.dump, new file", core: true, fresh: true, script: python + `dump-indent "$FILE" $N`, needs: []string{"python3"}},
	{group: "Python", name: "json.dump(indent=2)", core: true, script: python + `dump-indent "$FILE" $N`, needs: []string{"python3"}},
	{group: "Python", name: "r+, write, truncate", core: true, script: python + `rplus "$FILE" $N`, needs: []string{"python3"}},
	{group: "Python", name: "r+, truncate, write", core: true, script: python + `rplus-empty-first "$FILE" $N`, needs: []string{"python3"}},
	{group: "Python", name: "r+ under flock, unlock, close", core: true, script: python + `locked "$FILE" $N`, needs: []string{"python3"}},
	{group: "Python", name: "pathlib write_text", core: true, script: python + `pathlib "$FILE" $N`, needs: []string{"python3"}},
	{group: "Python", name: "tempfile, os.replace", core: true, script: python + `replace "$FILE" $N`, needs: []string{"python3"}},
	{group: "Python", name: "multiprocessing, four at once", core: true, script: python + `multiprocessing "$FILE" $N`, needs: []string{"python3"}},
	{group: "Python", name: "TinyDB", free: true, fresh: true, script: python + `tinydb "$FILE" $N`, needs: []string{"python3"}, module: "tinydb"},
	{group: "Python", name: "PyYAML", file: "state.yaml", script: python + `pyyaml "$FILE" $N`, needs: []string{"python3"}, module: "yaml"},
	{group: "Python", name: "ruamel.yaml", file: "state.yaml", script: python + `ruamel "$FILE" $N`, needs: []string{"python3"}, module: "ruamel.yaml"},

	{group: "Node", name: "fs.writeFileSync", core: true, script: node + `fs-sync.js" "$FILE" $N`, needs: []string{"node"}},
	{group: "Node", name: "fs.writeFile", core: true, script: node + `fs-callback.js" "$FILE" $N`, needs: []string{"node"}},
	{group: "Node", name: "fs.promises.writeFile", core: true, script: node + `fs-promises.js" "$FILE" $N`, needs: []string{"node"}},
	{group: "Node", name: "createWriteStream", core: true, script: node + `fs-stream.js" "$FILE" $N`, needs: []string{"node"}},
	{group: "Node", name: "FileHandle r+, truncate, sync", core: true, script: node + `fs-handle.js" "$FILE" $N`, needs: []string{"node"}},
	{group: "Node", name: "truncateSync, appendFileSync", core: true, script: node + `truncate-append.js" "$FILE" $N`, needs: []string{"node"}},
	{group: "Node", name: "lowdb", script: node + `lowdb.mjs" "$FILE" $N`, needs: []string{"node"}, node: true},
	{group: "Node", name: "write-file-atomic", script: node + `write-file-atomic.mjs" "$FILE" $N`, needs: []string{"node"}, node: true},
	{group: "Node", name: "conf", script: node + `conf.mjs" "$FILE" $N`, needs: []string{"node"}, node: true},
	{group: "Node", name: "node-persist", file: nodePersistFile, fresh: true, script: node + `node-persist.js" "$FILE" $N`, needs: []string{"node"}, node: true},
	{group: "Node", name: "nedb", file: "db.jsonl", free: true, fresh: true, script: node + `nedb.js" "$FILE" $N`, needs: []string{"node"}, node: true},
	{group: "Node", name: "jsonfile", script: node + `jsonfile.mjs" "$FILE" $N`, needs: []string{"node"}, node: true},
	{group: "Node", name: "fs-extra outputJson", script: node + `fs-extra.mjs" "$FILE" $N`, needs: []string{"node"}, node: true},
	{group: "Node", name: "npm pkg set", file: "package.json", script: `npm --offline --no-update-notifier pkg set version=1.0.$N`, needs: []string{"npm"}},

	{group: "Shell", name: "echo > f", core: true, script: `echo "$(cat "$SRC/$N.json")" > "$FILE"`},
	{group: "Shell", name: "here-document", core: true, script: "cat > \"$FILE\" <<EOF\n$(cat \"$SRC/$N.json\")\nEOF\n"},
	{group: "Shell", name: "{ a; b; } > f", core: true, script: `{ head -n 100 "$SRC/$N.json"; tail -n +101 "$SRC/$N.json"; } > "$FILE"`},
	{group: "Shell", name: ": > f; cmd >> f", core: true, script: `: > "$FILE"; cat "$SRC/$N.json" >> "$FILE"`},
	{group: "Shell", name: "exec 3> f", core: true, script: `exec 3> "$FILE"; cat "$SRC/$N.json" >&3; exec 3>&-`},
	{group: "Shell", name: "printf >> f.jsonl", core: true, free: true, fresh: true, file: "log.jsonl", script: `for i in 1 2 3 4 5; do printf '{"version": %d, "line": %d}\n' $N $i >> "$FILE"; done`},

	{group: "Tools", name: "jq > f", core: true, script: `jq --argjson n $N '.version = $n' "$SRC/0.json" > "$FILE"`, needs: []string{"jq"}},
	{group: "Tools", name: "jq f > f", core: true, script: `jq --argjson n $N '.version = $n' "$FILE" > "$FILE"`,
		native: `jq --argjson n $N '.version = $n' "$FILE" > ../kept && cat ../kept > "$FILE"`, needs: []string{"jq"}},
	{group: "Tools", name: "jq f | sponge f", script: `jq --argjson n $N '.version = $n' "$FILE" | sponge "$FILE"`, needs: []string{"jq", "sponge"}},
	{group: "Tools", name: "tee", core: true, script: `tee "$FILE" < "$SRC/$N.json" > /dev/null`},
	{group: "Tools", name: "dd", core: true, script: `dd if="$SRC/$N.json" of="$FILE" status=none`},
	{group: "Tools", name: "sed -i", core: true, script: `sed -i "s/\"version\": [0-9]*/\"version\": $N/" "$FILE"`},
	{group: "Tools", name: "cp", core: true, script: `cp "$SRC/$N.json" "$FILE"`},
	{group: "Tools", name: "cp --remove-destination", core: true, gap: true, script: `cp --remove-destination "$SRC/$N.json" "$FILE"`},
	{group: "Tools", name: "install", core: true, gap: true, script: `install -m 644 "$SRC/$N.json" "$FILE"`},
	{group: "Tools", name: "mv within the mount", core: true, script: `cp "$SRC/$N.json" incoming && mv incoming "$FILE"`},
	{group: "Tools", name: "tar x", core: true, gap: true, script: `tar xf "$SRC/$N.tar"`, needs: []string{"tar"}},
	{group: "Tools", name: "unzip -o", gap: true, script: `unzip -qo "$SRC/$N.zip"`, needs: []string{"unzip", "zip"}},
	{group: "Tools", name: "rsync", script: `rsync --ignore-times "$SRC/$N.json" "$FILE"`, needs: []string{"rsync"}},
	{group: "Tools", name: "rsync --inplace", script: `rsync --ignore-times --inplace "$SRC/$N.json" "$FILE"`, needs: []string{"rsync"}},

	{group: "Perl", name: "perl -i", core: true, script: `perl -i -pe 's/"version": \d+/"version": $ENV{N}/' "$FILE"`, needs: []string{"perl"}},
	{group: "Perl", name: "print", core: true, script: `perl -e 'open(I, "<", "$ENV{SRC}/$ENV{N}.json"); open(O, ">", $ENV{FILE}) or die; print O $_ while <I>; close(O) or die' `, needs: []string{"perl"}},
	{group: "PHP", name: "file_put_contents, LOCK_EX", script: `php -r '$s = getenv("SRC")."/".getenv("N").".json"; exit(file_put_contents(getenv("FILE"), file_get_contents($s), LOCK_EX) ? 0 : 1);'`, needs: []string{"php"}},
	{group: "PHP", name: "fopen c+, flock, ftruncate", script: `php -r '$f = fopen(getenv("FILE"), "c+"); flock($f, LOCK_EX); ftruncate($f, 0); fwrite($f, file_get_contents(getenv("SRC")."/".getenv("N").".json")); fflush($f); flock($f, LOCK_UN); fclose($f);'`, needs: []string{"php"}},
	{group: "Ruby", name: "File.write", script: `ruby -e 'File.write(ENV["FILE"], File.read("#{ENV["SRC"]}/#{ENV["N"]}.json"))'`, needs: []string{"ruby"}},
	{group: "Ruby", name: "YAML::Store", file: "state.yaml", script: `ruby -ryaml/store -e 'YAML::Store.new(ENV["FILE"]).transaction { |s| s["version"] = ENV["N"].to_i; s["text"] = "x" * 9000 }'`, fresh: true, needs: []string{"ruby"}},
	{group: "Java", name: "Files.write", script: `java -Xshare:auto -cp "$BIN" Write files "$FILE" $N`, needs: []string{"java", "javac"}},
	{group: "Java", name: "FileWriter", script: `java -Xshare:auto -cp "$BIN" Write writer "$FILE" $N`, needs: []string{"java", "javac"}},
	{group: "Java", name: "RandomAccessFile", script: `java -Xshare:auto -cp "$BIN" Write random "$FILE" $N`, needs: []string{"java", "javac"}},
	{group: "C", name: "stdio", script: `"$BIN/save" "$FILE" $N`, needs: []string{"gcc"}},
	{group: "C", name: "a reader by mmap", script: `"$BIN/save" "$FILE" $N && "$BIN/mapread" "$FILE" | cmp - "$FILE"`, needs: []string{"gcc"}},

	{group: "Editors", name: "vim", script: `vim -es -u NONE -i NONE +"%s/\"version\": [0-9]*/\"version\": $N/" +wq "$FILE"`, gap: true, needs: []string{"vim"}},
	{group: "Editors", name: "vim, backupcopy=yes", script: `vim -es -u NONE -i NONE +'set backupcopy=yes' +"%s/\"version\": [0-9]*/\"version\": $N/" +wq "$FILE"`, needs: []string{"vim"}},
	{group: "Editors", name: "nano", script: `printf '\013{"version": %d,\r\017\r\030' $N | TERM=xterm "$PYTHON" "$DATA/python/keys.py" nano -I "$FILE" > /dev/null`, needs: []string{"nano", "python3"}},
	{group: "Editors", name: "emacs --batch", script: `emacs -Q --batch "$FILE" --eval "(progn (goto-char 1) (re-search-forward \"\\\"version\\\": [0-9]+\") (replace-match \"\\\"version\\\": $N\") (save-buffer))"`, needs: []string{"emacs"}},
	{group: "Editors", name: "ed", script: `printf '1c\n{"version": %d,\n.\nw\nq\n' $N | ed -s "$FILE"`, needs: []string{"ed"}},

	{group: "Applications", name: "git config", core: true, file: "state.conf", fresh: true, script: `rm -f "$FILE.lock"; git config -f "$FILE" state.version $N && git config -f "$FILE" state.text "$(head -c 3000 "$SRC/$N.txt")"`, free: true, needs: []string{"git"}},
	{group: "Applications", name: "a git repository", core: true, file: "repo/state.json", free: true, script: gitScript, needs: []string{"git"}},
	{group: "Applications", name: "sqlite3 beside the JSON", script: `sqlite3 state.db "create table if not exists t(version); delete from t; insert into t values($N);" && sqlite3 -json state.db 'select * from t' > "$FILE"`, needs: []string{"sqlite3"}},
	{group: "Applications", name: "sqlite3 database", file: "plain.db", fresh: true, free: true, plain: true, script: `sqlite3 "$FILE" "create table if not exists t(version); insert into t values($N); pragma integrity_check;"`, needs: []string{"sqlite3"}},
	{group: "Applications", name: "transmission-daemon settings", file: "settings.json", fresh: true, free: true, script: transmissionScript, needs: []string{"transmission-daemon"}},
}

// nodePersistFile is the name that node-persist makes of the key "state".
const nodePersistFile = "4ba69735ca53765ed6a709edb56c6ea236b7193a3b29a6b390c346f0f4340e4e"

const gitScript = `
test -d repo/.git || git init -q repo
rm -f repo/.git/*.lock repo/.git/refs/heads/*.lock
cp "$SRC/$N.json" repo/state.json
cd repo
git add state.json
git -c user.name=n -c user.email=e@example.org commit -q --allow-empty -m "version $N"
git checkout -q -- state.json
git fsck --no-progress > /dev/null
`

// transmissionScript lets the daemon come up on no fixed port, and ends it:
// it saves its settings then.
const transmissionScript = `
TRANSMISSION_HOME=$PWD transmission-daemon -f -g "$PWD" --no-portmap --no-dht --no-lpd -P $((20000 + $$ % 20000)) -p $((40001 + $$ % 20000)) > /dev/null 2>&1 &
pid=$!
for _ in $(seq 1000); do test -d torrents && break; sleep 0.02; done
sleep 0.3
kill -TERM $pid
wait $pid
test -s "$FILE"
`
