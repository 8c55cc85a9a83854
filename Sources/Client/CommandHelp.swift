extension Command {
    private static let matching =
        "An expression is a regular expression in Python's syntax, matched as a whole against the elements joined with "
        + "commas; or a JSON array with one expression an element. VALEXP left out matches everything. A '.' does not "
        + "match the end of a line, '(?s).*' does. With --literal both are plain text."
    private static let tuples =
        "A tuple is written user,42 or as a JSON array '[\"user\",\"42\"]'. What an element may be belongs to the space: "
        + "letters and digits of any script (--elements alphanumeric, the default of the first server), or any text "
        + "that is not empty (--elements text): e-mail addresses, dates and names with '_' or '-' need the latter."

    /// The text of the help page.
    var details: String {
        switch self {
        case .get: "Shows the tuples whose key matches KEYEXP and whose value matches VALEXP.\n\n" + Command.matching
        case .put:
            "Adds tuples. Those whose key is there already, and those that are malformed, are given back with the reason, "
                + "and the exit status is 1. The whole list takes effect at one moment.\n\n" + Command.tuples
        case .post:
            "Gives new values to keys that are there. Pairs whose key is not there, and those that are malformed, are "
                + "given back with the reason, and the exit status is 1. The whole list takes effect at one moment.\n\n"
                + Command.tuples
        case .set:
            "Gives keys their values: adds those that are not there, and replaces the values of those that are. It is a put "
                + "and then a post, so a list does not take effect at one moment. Pairs that are malformed are given back "
                + "with the reason, and the exit status is 1.\n\n" + Command.tuples
        case .delete: "Removes the tuples that match and shows them.\n\n" + Command.matching
        case .op:
            "Asks what became of the operation ID: of a put, post or delete that was given '--op-id ID', or of one that "
                + "ended 'unknown' and told its id. The answer is the operation's own, with its exit status; or "
                + "unavailable (6): it was not carried out; or unknown (7): nobody knows, or not any more. Outcomes are "
                + "kept for ten minutes after their session's last update. Say with --age how long ago it was sent at the "
                + "most, so that what was not carried out can be told from what is not known any more."
        case .send:
            "Sends a request as it is: any operator, and any JSON as its payload (null where it is left out). GET and "
                + "DELETE take [KEYEXP, VALEXP], PUT and POST a list of [KEY, VALUE]."
        case .batch:
            "Reads one request a line, {\"op\": …, \"payload\": …}, from FILE or standard input, and writes one answer a "
                + "line, in the same order, always as JSON. Requests are pipelined. Blank lines are passed over. A line that is no request is answered "
                + "malformed in its place. The exit status is the highest that any answer stands for."
        case .import:
            "Adds the rows of a file. JSON lines: [KEY, VALUE] or {\"key\": [\"…\"], \"value\": [\"…\"]}. CSV as in RFC "
                + "4180: the chosen columns' texts are the elements. Rows that are not well formed, such as those with more "
                + "or fewer columns than the first, are reported on standard error with file, line and reason, and "
                + "counted. The exit status is 1 where rows were given back. Interrupted, it says how to go on."
        case .export:
            "Writes all tuples as JSON lines, as import reads them, to FILE or standard output. A plain FILE is replaced "
                + "only when all is written, and keeps its permissions; what a link names is replaced, and the link stays; "
                + "a device or a pipe is written to."
        case .shell:
            "Reads commands at a prompt, with line editing and a history (~/.twinspace_history). 'help' lists them. Where "
                + "standard input is no terminal, it reads them from there."
        case .status:
            "Shows which server is active, whether every acknowledged write is on more than one server, and the state of "
                + "all servers."
        case .switchover:
            "Makes NAME, or the best of the passive servers, the active one, and waits until it is. No acknowledged write is lost, unless "
                + "--accept-data-loss allows it."
        case .resync:
            "Has the passive server NAME, or each that needs it, take a fresh copy from the active one, and waits until "
                + "every acknowledged write is on it."
        case .shutdown: "Shuts the proxy and all servers down. Nothing is lost; unanswered requests end 'unavailable'."
        case .completions: "Prints a script that completes commands and options in the given shell."
        }
    }

    var example: String {
        switch self {
        case .get:
            "twinspace get 'user,[0-9]+'\ntwinspace get -F a.b@example.org\ntwinspace get '[\"user\",\".*\"]' 'ada,.*' --output json"
        case .put: "twinspace put user,42 ada,lovelace user,43 alan,turing"
        case .post: "twinspace post user,42 ada,king"
        case .set: "twinspace set user,42 ada,lovelace"
        case .delete: "twinspace delete 'user,4.' --dry-run\ntwinspace delete 'user,4.'"
        case .op: "twinspace put user,42 ada,lovelace --op-id signup42\ntwinspace op signup42 --age 2m"
        case .send: "twinspace send PUT '[[[\"user\",\"42\"],[\"ada\"]]]'\ntwinspace send FROBNICATE"
        case .batch:
            "echo '{\"op\": \"GET\", \"payload\": [\"user,.*\", \".*\"]}' | twinspace batch"
        case .import:
            "twinspace import tuples.jsonl\n"
                + "twinspace import oui.csv --key-columns Assignment \\\n"
                + "    --value-columns 'Organization Name' --split-words"
        case .export: "twinspace export tuples.jsonl"
        case .shell: "twinspace shell\ntwinspace> put user,42 ada,lovelace"
        case .status: "twinspace status --watch\ntwinspace status --output json"
        case .switchover: "twinspace switchover b"
        case .resync: "twinspace resync b"
        case .shutdown: "twinspace shutdown"
        case .completions: "source <(twinspace completions bash)"
        }
    }
}
