"""What each command answers, and the groups in which /help has them."""

from chatroom.commands import COMMANDS

#: A text that is too long for anything; the first 200 and the first 300 characters end in a word.
LONG = "abcdef " * 80


#: What a person with one other, bob, in the lobby is answered.
ANSWERS = [
    # /nick
    ("/nick", ["-- Usage: /nick NEWNAME"]),
    ("/nick alice", ["-- You are alice already. /nick NAME picks another."]),
    ("/nick a b", [
        "-- A name consists of letters, digits, _ and -. You are still alice. /nick NAME "
        "picks another.",
    ]),
    ("/nick 1st", [
        "-- A name begins with a letter. You are still alice. /nick NAME picks "
        "another.",
    ]),
    ("/nick Guest7", ["-- Guest7 is reserved. You are still alice. /nick NAME picks another."]),
    ("/nick bob", ["-- bob is taken. You are still alice. /nick NAME picks another."]),
    ("/nick carol", ["-- You are now carol."]),
    ("/name carol", ["-- You are now carol."]),
    # /whois
    ("/whois", ["-- Usage: /whois NAME"]),
    ("/whois bo", ["-- bob is in #lobby, here for 5 seconds, idle for 5 seconds."]),
    ("/whois zoe", ["-- Nobody here is called zoe. /who lists who is in your room."]),
    # /ignore, /unignore
    ("/ignore", ["-- You ignore nobody."]),
    ("/ignore bob", ["-- You ignore bob. /unignore bob ends it."]),
    ("/ignore alice", ["-- You cannot ignore yourself. /ignore NAME is for others."]),
    ("/ignore zoe", ["-- Nobody here is called zoe. /who lists who is in your room."]),
    ("/unignore", ["-- Usage: /unignore NAME"]),
    ("/unignore bob", ["-- You do not ignore bob. /ignore lists whom you ignore."]),
    # /register and its like: what they do is in actions/test_login.py
    ("/register", ["-- Usage: /register PASSWORD"]),
    ("/register short", ["-- A password has at least 8 characters. Nothing was changed."]),
    ("/login", ["-- Usage: /login NAME [PASSWORD]"]),
    ("/login zoe", ["-- zoe is not registered. /register makes the name that you have your own."]),
    ("/login zoe kohlrabi77", [
        "-- zoe is not registered. /register makes the name that you have your own.",
    ]),
    ("/login 2345-6789", [
        "-- That code is wrong, or was used, or is too old. /pair makes "
        "another.",
    ]),
    ("/logout", ["-- You are not logged in: /login NAME, or /register."]),
    ("/password", ["-- You are not logged in: /login NAME, or /register."]),
    ("/password one", ["-- Usage: /password OLD NEW"]),
    ("/passwd one twotwotwo", ["-- You are not logged in: /login NAME, or /register."]),
    ("/unregister", ["-- You are not logged in: /login NAME, or /register."]),
    ("/pair", ["-- You are not logged in: /login NAME, or /register."]),
    ("/key", ["-- Keys are for registered people: /register or /login comes first."]),
    ("/keys list", ["-- Keys are for registered people: /register or /login comes first."]),
    ("/key remove", ["-- Usage: /key list, /key add [KEY], /key remove FINGERPRINT"]),
    # /away, /back
    ("/away", ["-- You are away. /back says that you are here again."]),
    ("/away lunch", ["-- You are away. /back says that you are here again."]),
    ("/back", ["-- You are not away. /away says that you are."]),
    ("/unaway", ["-- You are not away. /away says that you are."]),
    # /quit
    ("/quit", ["-- Good-bye."]),
    ("/exit", ["-- Good-bye."]),
    ("/bye now", ["-- Good-bye."]),
    # /say
    ("/say", ["-- Usage: /say TEXT"]),
    ("/say login alice secret", []),
    # /me
    ("/me", ["-- Usage: /me TEXT"]),
    ("/me waves", []),
    # /msg, /reply
    ("/msg", ["-- Usage: /msg NAME TEXT"]),
    ("/msg bob", ["-- Usage: /msg NAME TEXT"]),
    ("/msg bob  ", ["-- Usage: /msg NAME TEXT"]),
    ("/msg bob hi", ["-> you to bob: hi"]),
    ("/MSG b  hi  there ", ["-> you to bob: hi  there"]),
    ("/m b hi", ["-> you to bob: hi"]),
    ("/w b hi", ["-> you to bob: hi"]),
    ("/tell b hi", ["-> you to bob: hi"]),
    ("/msg alice hi", ["-- You cannot send yourself a private line. /say says it to the room."]),
    ("/msg zoe hi", ["-- Nobody here is called zoe. /who lists who is in your room."]),
    ("/reply", ["-- Usage: /reply TEXT"]),
    ("/reply hi", ["-- Nobody has sent you a private line yet: /msg NAME TEXT."]),
    # /join
    ("/join", ["-- Usage: /join ROOM"]),
    ("/join lobby", ["-- You are in #lobby already. /rooms lists the others."]),
    ("/join #LOBBY", ["-- You are in #lobby already. /rooms lists the others."]),
    ("/join a b", ["-- A room's name consists of letters, digits, _ and -."]),
    ("/join #den", ["-- You made #den; nobody else is here."]),
    ("/j den", ["-- You made #den; nobody else is here."]),
    # /rooms
    ("/rooms", ["-- #lobby  2 people, silent so far, you are here"]),
    ("/list", ["-- #lobby  2 people, silent so far, you are here"]),
    # /who
    ("/who", ["-- 2 people in #lobby: alice, bob"]),
    ("/names", ["-- 2 people in #lobby: alice, bob"]),
    ("/who #lob", ["-- 2 people in #lobby: alice, bob"]),
    ("/who nowhere", ["-- There is no such room. /rooms lists them."]),
    # /topic
    ("/topic", ["-- #lobby has no topic. /topic TEXT sets one."]),
    ("/topic tea", ["-- alice set the topic: tea"]),
    ("/topic -", ["-- alice cleared the topic."]),
    ("/room", ["-- #lobby belongs to nobody: everybody may enter."]),
    ("/room private", ["-- #lobby is not yours. It belongs to nobody; operators decide: /ops."]),
    # /history
    ("/history", ["-- Nothing has been said here."]),
    ("/history before 1h", ["-- Nothing earlier has been said here."]),
    *[
        (
            f"/history {rest}",
            ["-- Usage: /history [N] or /history [N] before TIME, such as 12:03 or yesterday."],
        )
        for rest in ("x", "0", "٣", "-1", "5 6", "before", "5 before", "before noon",
                     "x before 12:03", "before 24:00", "before 2027-13-01", "before 2027-02-30")
    ],
    # /search
    ("/search", ["-- Usage: /search WORDS [in ROOM] [from NAME]"]),
    ("/find tea", ["-- Nothing was found."]),
    ("/search ...", [
        "-- There is no word to look for. Usage: /search WORDS [in ROOM] [from NAME]",
    ]),
    ("/search tea in #nowhere", ["-- There is no such room. /rooms lists them."]),
    ("/search tea in nowhere", ["-- Nothing was found."]),
    ("/search in lobby", ["-- Nothing was found."]),
    ("/search from bob", ["-- Nothing was found."]),
    ("/search a b c d e f g h", ["-- Nothing was found."]),
    ("/search a b c d e f g h i", ["-- Please look for at most 8 words at once."]),
    # /more, /missed
    ("/more", ["-- There is no more: /history, /search, /missed."]),
    ("/missed", ["-- You missed nothing."]),
    # /forget
    ("/forget", [
        "-- You have said nothing on this connection in the last hour. What you said as a guest on "
        "an earlier one only an operator can remove: /ops lists them.",
    ]),
    # /timestamps, /timezone, /quiet, /bell
    ("/timestamps", ["-- Lines are shown without their time."]),
    ("/timestamps on", ["-- Lines are shown with their time: 08:00 (UTC)."]),
    ("/timestamps SECONDS", ["-- Lines are shown with their time: 08:00:05 (UTC)."]),
    ("/timestamps off", ["-- Lines are shown without their time."]),
    ("/timestamps yes", ["-- Timestamps can be off, on or seconds."]),
    ("/timezone", ["-- Times are UTC. It is 08:00 there, Friday 15 January 2027."]),
    ("/timezone europe/berlin", [
        "-- Times are Europe/Berlin. It is 09:00 there, Friday 15 January 2027.",
    ]),
    ("/tz -8:30", ["-- Times are UTC-08:30. It is 23:30 there, Thursday 14 January 2027."]),
    ("/timezone Europe/Berln", [
        "-- No time zone Europe/Berln. Did you mean Europe/Berlin?",
    ]),
    ("/timezone new york", [
        "-- Times are America/New_York. It is 03:00 there, Friday 15 January 2027.",
    ]),
    ("/timezone BERL", ["-- Times are Europe/Berlin. It is 09:00 there, Friday 15 January 2027."]),
    ("/timezone knox", [
        "-- Times are America/Indiana/Knox. It is 02:00 there, Friday 15 January 2027.",
    ]),
    ("/timezone lon", [
        "-- No time zone lon. There are Arctic/Longyearbyen and Europe/London.",
    ]),
    ("/timezone " + "../" * 99, [
        f"-- No time zone {('../' * 99)[:40]}. It is a place such as Europe/Berlin, or UTC, or "
        "how far from it, such as +5:30.",
    ]),
    ("/quiet", ["-- Who joins, leaves or is renamed is shown."]),
    ("/quiet on", ["-- Who joins, leaves or is renamed is not shown."]),
    ("/quiet Off", ["-- Who joins, leaves or is renamed is shown."]),
    ("/quiet please", ["-- Quiet can be off or on."]),
    ("/bell", ["-- The bell does not ring."]),
    ("/bell on", ["-- The bell rings for all that others say."]),
    ("/bell mentions", ["-- The bell rings for lines that name you and for private lines."]),
    ("/bell off", ["-- The bell does not ring."]),
    ("/bell loud", ["-- The bell can be off, mentions or on."]),
    ("/color", ["-- Names have colours if your terminal can show them."]),
    ("/color on", ["-- Names have colours in a terminal."]),
    ("/colour off", ["-- Nothing has colours."]),
    ("/color auto", ["-- Names have colours if your terminal can show them."]),
    ("/color red", ["-- Colours can be auto, on or off."]),
    ("/reader", ["-- A terminal is drawn on. /reader on is for screen readers."]),
    ("/reader on", ["-- What arrives is one line each, and nothing is drawn twice."]),
    ("/reader off", ["-- A terminal is drawn on. /reader on is for screen readers."]),
    ("/reader maybe", ["-- It can be off or on."]),
    # keeping order: what operators can do is in commands/test_operators.py, test_bans.py ...
    ("/claim", ["-- Usage: /claim CODE"]),
    ("/claim 9F3A-22C1", [
        "-- There is no code to claim. /ops lists who keeps order.",
    ]),
    ("/ops", ["-- There is no operator."]),
    ("/report", ["-- Usage: /report NAME [REASON]"]),
    (
        "/report bob spam",
        ["-- Nobody keeps order here. /ignore NAME spares you what somebody says."],
    ),
    ("/close", ["-- /close is for operators. /ops lists them."]),
    ("/op", ["-- /op is for operators. /ops lists them."]),
    ("/deop", ["-- /deop is for operators. /ops lists them."]),
    ("/kick", ["-- /kick is for operators. /ops lists them."]),
    ("/ban", ["-- /ban is for operators. /ops lists them."]),
    ("/unban", ["-- /unban is for operators. /ops lists them."]),
    ("/bans", ["-- /bans is for operators. /ops lists them."]),
    ("/mute", ["-- /mute is for operators. /ops lists them."]),
    ("/unmute", ["-- /unmute is for operators. /ops lists them."]),
    ("/announce", ["-- /announce is for operators. /ops lists them."]),
    ("/lockdown", ["-- /lockdown is for operators. /ops lists them."]),
    ("/reports", ["-- /reports is for operators. /ops lists them."]),
    ("/audit", ["-- /audit is for operators. /ops lists them."]),
    # the server
    ("/motd", ["-- There is no message of the day."]),
    ("/uptime", ["-- chatroom has been up for 5 seconds. 2 people are here."]),
    # what is no command
    ("/", ["-- A command's name follows the slash at once. /help lists them."]),
    ("/ nick", ["-- A command's name follows the slash at once. /help lists them."]),
    ("/hsitory", ["-- No command /hsitory. Did you mean /history?"]),
    ("/qiut", ["-- No command /qiut. Did you mean /quit?"]),
    # the beginning of one: it goes before what is near
    ("/hist", ["-- Nothing has been said here."]),
    ("/UPT", ["-- chatroom has been up for 5 seconds. 2 people are here."]),
    ("/aw", ["-- You are away. /back says that you are here again."]),
    ("/ti", ["-- Several commands begin with /ti: /timestamps and /timezone."]),
    ("/na x", ["-- Several commands begin with /na: /name and /names."]),
    ("/qui", ["-- Several commands begin with /qui: /quiet and /quit."]),
    ("/mot", ["-- There is no message of the day."]),
    ("/ki bob", ["-- No command /ki. /help lists them."]),
    ("/forg", ["-- /forget has to be typed in full: /forget [N|hour|NAME]"]),
    ("/ex", ["-- /quit has to be typed in full: /quit [TEXT]"]),
    ("/logi alice secret99", ["-- /login has to be typed in full: /login NAME [PASSWORD]"]),
    ("/help forg", [
        "-- /forget [N|hour|NAME]",
        "-- take back the last line that you said, or the last N",
        "--",
        "-- /forget hour takes back all that you said in the last hour, in all rooms,",
        "-- and asks first. Lines are removed from the history; who has seen them has",
        "-- seen them. An operator removes what was said as NAME.",
    ]),
    # other names that people try
    ("/dm bob hi", ["-> you to bob: hi"]),
    ("/pm bob hi", ["-> you to bob: hi"]),
    ("/query bob hi", ["-> you to bob: hi"]),
    ("/afk lunch", ["-- You are away. /back says that you are here again."]),
    ("/block bob", ["-- You ignore bob. /unignore bob ends it."]),
    ("/unblock bob", ["-- You do not ignore bob. /ignore lists whom you ignore."]),
    ("/part", [
        "-- #lobby is your only room. /join ROOM goes to another, /quit ends it all.",
    ]),
    ("/leave tea", ["-- You are not in that room. You are in #lobby."]),
    ("/xyzzy", ["-- No command /xyzzy. /help lists them."]),
    ("/" + "x" * 99, [f"-- No command /{'x' * 24}. /help lists them."]),
    # /help
    ("/help msg", [
        "-- /msg NAME TEXT   (also /m, /w, /tell, /dm, /pm, /query)",
        "-- say something to one person alone",
        "--",
        "-- The beginning of a name is enough where only one name begins so, and nobody",
        "-- of just that name was here in the last hour. Who has a registered name and",
        "-- is not here is shown it when they log in.",
    ]),
    ("/help /back", ["-- /back   (also /unaway)", "-- you are here again"]),
    ("/? me", ["-- /me TEXT", "-- say what you do: /me waves"]),
    ("/help rooms", [
        "-- /join ROOM     show another room, which is made if there is none",
        "-- /part [ROOM]   leave a room: the one that you see, or /part ROOM",
        "-- /rooms         which rooms there are, and what is new in yours",
        "-- /who [ROOM]    who is in your room, or in another",
        "-- /topic [TEXT]  what the room is about, or say it: /topic TEXT",
        "-- /room [private|public|invite NAME|uninvite NAME|give NAME]",
        "--                whose the room is, and who may enter it",
    ]),
    ("/help /rooms", [
        "-- /rooms   (also /list)",
        "-- which rooms there are, and what is new in yours",
    ]),
    ("/h hlep", ["-- No command /hlep. Did you mean /help?"]),
]  # fmt: skip


def groups() -> dict[str, list[str]]:
    """The commands of each group."""
    found: dict[str, list[str]] = {}
    for one in dict.fromkeys(COMMANDS.values()):
        found.setdefault(one.group, []).append(f"/{one.name}")
    return found
