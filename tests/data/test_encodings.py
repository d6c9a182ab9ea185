import pytest

from cross_modal.data import TableError
from cross_modal.data.encodings import guess_encoding
from cross_modal.data.sources import open_source

SAMPLES = [
    ("Portuguese", "cp1252", ["O cão não está na praia", "A criança come maçã no almoço", "Três mulheres à beira da água", "As ações não são fáceis"]),
    ("Italian", "cp1252", ["Il caffè è già pronto in città", "Perché l'università è chiusa?", "Un uomo può salire lassù", "Venerdì c'è più gente"]),
    ("French", "cp1252", ["Un garçon mange une pêche près de la fenêtre", "L'été, la forêt est très calme", "Sa sœur a un cœur d’or", "Noël à la plage, c'est bête"]),
    ("Swedish", "latin-1", ["En flicka äter äpplen på ängen", "Två män åker över ån", "Katten ligger på sängen och sover", "Någon går längs vägen"]),
    ("Norwegian", "latin-1", ["En gutt spiser blåbær på øya", "Været er dårlig i dag", "To kvinner går på fjellet i snøen", "Båten ligger ved brygga på sjøen"]),
    ("Danish", "cp1252", ["En dreng spiser æbler på øen", "Solen står højt på himlen", "Hunden løber efter ænderne ved søen"]),
    ("Dutch", "latin-1", ["Een reünie in België", "De zeeën zijn ruw", "Eén man drinkt thee in een café", "Hij is geïnteresseerd in poëzie"]),
    ("Spanish", "cp1252", ["El niño come una manzana en el jardín", "¿Dónde está la montaña?", "¡Qué bonito día de otoño!", "El pingüino nadó aquí"]),
    ("German", "cp1252", ["Ein Mädchen isst Äpfel", "Die Straße ist schön und grün", "Zwei Männer überqueren die Brücke", "Öl und Übermut tun selten gut"]),
    ("Finnish", "latin-1", ["Tyttö syö omenaa pöydän ääressä", "Mies kävelee kylän läpi", "Järvi on jäässä talvella", "Älä häiritse, äiti nukkuu"]),
    ("Icelandic", "cp1252", ["Það er köttur á þakinu", "Stúlka les bók í garðinum", "Maðurinn gengur með hundinn sinn", "Fjörðurinn er blár og fallegur"]),
    ("many at once", "cp1252", ["Ein Mädchen isst Äpfel", "O cão não está na praia", "Un garçon mange une pêche", "En flicka äter äpplen på ängen", "El niño come en el jardín"]),
    ("signs", "cp1252", ["costs £5 and ½", "costs £7"]),
    ("quotes", "cp1252", ["he said “no”", "it’s fine – really…", "costs €5 and more"]),
    ("Turkish", "cp1254", ["Çocuk bahçede ağacın altında oturuyor", "Kız süt içiyor ve gülüyor", "İki kişi şehirde yürüyor", "Öğle yemeğinde ışık söndü"]),
    ("Polish", "cp1250", ["Chłopiec je jabłko w ogrodzie", "Dziewczyna śpi na łóżku", "Mężczyzna idzie ulicą", "Świeci słońce, jest gorąco"]),
    ("Czech", "cp1250", ["Příliš žluťoučký kůň", "Dívka čte knihu v parku", "Muž běží přes most", "Děti si hrají u řeky"]),
    ("Czech", "iso8859-2", ["Příliš žluťoučký kůň", "Dívka čte knihu v parku", "Muž běží přes most", "Děti si hrají u řeky"]),
    ("Hungarian", "cp1250", ["A fiú almát eszik a kertben", "Két nő sétál az erdőben", "Őszi szél fúj, hűvös az idő", "A lány könyvet olvas a fűben"]),
    ("Romanian", "cp1250", ["Băiatul mănâncă un măr în grădină", "Două fete stau pe bancă şi râd", "Oraşul e plin de lumini în noapte, ţară"]),
    ("Croatian", "cp1250", ["Dječak jede jabuku u vrtu", "Žena šeta kroz šumu", "Četiri mačke leže na krevetu", "Dođi kući večeras"]),
    ("Latvian", "cp1257", ["Zēns ēd ābolu dārzā", "Meitene lasa grāmatu pie ezera", "Cilvēki iet uz mežu", "Šķūņa jumts ir zaļš"]),
    ("Russian", "cp1251", ["Мальчик ест яблоко в саду", "Девушка читает книгу у окна", "Собака бежит по улице"]),
    ("Russian", "koi8-r", ["Мальчик ест яблоко в саду", "Девушка читает книгу у окна", "Собака бежит по улице"]),
    ("Russian in small letters", "koi8-r", ["мальчик ест яблоко в саду", "девушка читает книгу у окна"]),
    ("Russian in capitals", "cp1251", ["МАЛЬЧИК ЕСТ ЯБЛОКО В САДУ", "ДЕВУШКА ЧИТАЕТ КНИГУ"]),
    ("Ukrainian", "cp1251", ["Хлопчик їсть яблуко в саду", "Дівчина читає книгу біля вікна", "Двоє людей ідуть вулицею"]),
    ("Greek", "cp1253", ["Το αγόρι τρώει ένα μήλο στον κήπο", "Η γυναίκα διαβάζει ένα βιβλίο", "Ο σκύλος τρέχει στον δρόμο"]),
    ("Hebrew", "cp1255", ["הילד אוכל תפוח בגן", "אישה קוראת ספר ליד החלון", "הכלב רץ ברחוב"]),
    ("Hebrew, short", "cp1255", ["שלום לכולם"]),
    ("Arabic", "cp1256", ["الولد يأكل تفاحة في الحديقة", "المرأة تقرأ كتابا بجانب النافذة", "الكلب يجري في الشارع"]),
    ("Thai", "cp874", ["เด็กชายกินแอปเปิ้ลในสวน", "ผู้หญิงอ่านหนังสือข้างหน้าต่าง", "สุนัขวิ่งบนถนน"]),
    ("Chinese", "gbk", ["一个男孩在花园里吃苹果", "两只狗在街上跑", "穿红衣服的女人站在树下"]),
    ("Chinese, short", "gbk", ["小狗在草地上玩耍"]),
    ("Chinese", "big5", ["一個男孩在花園裡吃蘋果", "兩隻狗在街上跑", "穿紅衣服的女人站在樹下"]),
    ("Chinese, short", "big5", ["一隻貓", "紅色汽車"]),
    ("Japanese", "shift_jis", ["男の子が庭でりんごを食べている", "二匹の犬が道を走る", "コーヒーを飲む人"]),
    ("Japanese", "euc_jp", ["男の子が庭でりんごを食べている", "二匹の犬が道を走る", "コーヒーを飲む人"]),
    ("Japanese, short", "euc_jp", ["猫がいる"]),
    ("Korean", "euc_kr", ["남자아이가 정원에서 사과를 먹는다", "두 마리의 개가 거리를 달린다", "빨간 옷을 입은 여자가 나무 아래 서 있다"]),
]


@pytest.mark.parametrize("language, encoding, sentences", SAMPLES, ids=[f"{language}-{encoding}" for language, encoding, _ in SAMPLES])
def test_letters_are_right_without_being_told_the_encoding(language, encoding, sentences):
    lines = [f'{number},"{sentence}",x'.encode(encoding) for number, sentence in enumerate(sentences * 12) if not sentence.isascii()]
    for some in (lines, lines[: len(sentences)]):
        found = guess_encoding(some)
        assert [line.decode(found) for line in some] == [line.decode(encoding) for line in some], found


@pytest.mark.parametrize("name, line", [("t.csv", "{},{},x"), ("t.jsonl", '{{"id": {}, "caption": "{}", "label": "x"}}')])
def test_a_guess_is_noted_with_the_words_that_depend_on_it(tmp_path, name, line):
    """Also where these come after a million bytes of plain text."""
    lines = ["id,caption,label"] * (name == "t.csv") + [line.format(i, "a plain text" * 20) for i in range(5000)] + [line.format(i, "não está") for i in range(5)]
    (tmp_path / name).write_text("\n".join(lines), encoding="cp1252")
    source = open_source(tmp_path / name)
    assert source.notes["encoding"] == "cp1252, guessed; give --encoding if this is wrong: 'não está'"
    assert [row["caption"] for _, row in source.rows()][-1] == "não está"
    assert open_source(tmp_path / name, encoding="cp1252").notes["encoding"] == "cp1252"
    (tmp_path / name).write_text("\n".join(lines), encoding="utf-8")
    assert open_source(tmp_path / name).notes["encoding"] == "utf-8"


def test_damage_in_the_first_row_does_not_make_utf_8_another_encoding(tmp_path):
    content = "text\nçay süt\nşeker çay\nöğle çayı".encode().replace(b"\xc3\xa7ay s", b"\xe7ay s")
    (tmp_path / "t.csv").write_bytes(content)
    assert [row["text"] for _, row in open_source(tmp_path / "t.csv").rows()] == ["\udce7ay süt", "şeker çay", "öğle çayı"]


@pytest.mark.parametrize("encoding", ["base64", "rot13", "idna", "undefined", "punycode", "unicode_escape", "utf-7", "utf-16", "utf-16-le", "utf-32", "klingon", "a\0b"])
def test_an_encoding_that_cannot_be_is_told_with_the_file(tmp_path, encoding):
    path = tmp_path / "t.csv"
    path.write_text("text\nçay süt\n", encoding="utf-8")
    with pytest.raises(TableError) as error:
        list(open_source(path, encoding=encoding).rows())
    assert str(path) in str(error.value) and encoding in str(error.value)


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be", "utf-16", None])
def test_a_byte_order_mark_is_no_part_of_the_first_name(tmp_path, encoding):
    path = tmp_path / "t.csv"
    path.write_bytes("\ufeffid,text\na,çay\n".encode((encoding or "utf-8").replace("utf-16", "utf-16-le") if encoding == "utf-16" else encoding or "utf-8"))
    assert [row for _, row in open_source(path, **({"encoding": encoding} if encoding else {})).rows()] == [{"id": "a", "text": "çay"}]


def test_text_that_stops_being_of_its_encoding_is_told_with_the_file(tmp_path):
    """After the first million bytes, which are looked at before."""
    path = tmp_path / "t.csv"
    path.write_bytes(b"text\n" + b"plain\n" * 200_000 + b"+\xff\xff\n")
    with pytest.raises(TableError, match=r"t\.csv: expected text in utf-7\. Received: "):
        list(open_source(path, encoding="utf-7").rows())


@pytest.mark.parametrize("content, what", [(b"\x1f\x8b\x08\0", "gzip"), (b"PK\x03\x04xl/", "Excel"), (b"%PDF-1.7", "PDF"), (b"PAR1", "Parquet")])
def test_a_file_that_is_no_text_is_told_by_what_it_is(tmp_path, content, what):
    (tmp_path / "t.csv").write_bytes(content + bytes(range(256)))
    with pytest.raises(TableError, match=rf"t\.csv, which is an? .*{what}.* by its first bytes"):
        open_source(tmp_path / "t.csv")
